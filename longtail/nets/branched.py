"""Networks that share their first layers: one trunk, K branches (Wang et al. 2021; Zhou et al. 2020)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn


class Branched(nn.Module):
    """(N, 3, H, W) -> (K, N, d): the trunk of the first body, the own last part of each of K, then the mean over pixels."""

    def __init__(self, bodies: Sequence[nn.Module], unshared: Literal["two stages", "last block"]):
        super().__init__()
        divided = [divide_blocks(body.stages_of_blocks(), unshared) for body in bodies]
        self.feature_dim = bodies[0].feature_dim
        self.trunk = divided[0][0]
        self.branches = nn.ModuleList(branch for _, branch in divided)

    def forward(self, x: Tensor) -> Tensor:
        x = self.trunk(x)
        return torch.stack([branch(x).mean((2, 3)) for branch in self.branches])

    def one(self, branch: int, x: Tensor) -> Tensor:
        """The trunk and one branch: (N, 3, H, W) -> (N, d)."""
        return self.branches[branch](self.trunk(x)).mean((2, 3))


def divide_blocks(stages: list[list[nn.Module]], unshared: str) -> tuple[nn.Sequential, nn.Sequential]:
    """The blocks that are shared, and those that are not."""
    blocks = [block for stage in stages for block in stage]
    shared = len(blocks) - (1 if unshared == "last block" else len(stages[-2]) + len(stages[-1]))
    return nn.Sequential(*blocks[:shared]), nn.Sequential(*blocks[shared:])
