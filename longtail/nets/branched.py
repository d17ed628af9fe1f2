"""Networks that share their first layers: one trunk, K branches (Zhou et al. 2020, BBN; Wang et al. 2021, RIDE)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from longtail.nets.conv4 import Conv4
from longtail.nets.resnet_cifar import ResNetCifar

Unshared = Literal["two stages", "last stage", "last block"]


class Branched(nn.Module):
    """The trunk of the first body and the last blocks of every body as K branches: (N, 3, H, W) -> (K, N, d).

    With `leader`, the trunk learns from the first branch only; no gradient of the others reaches it.
    """

    def __init__(self, bodies: Sequence[Conv4 | ResNetCifar], unshared: Unshared, leader: bool = False):
        super().__init__()
        divided = [divide_blocks(body.list_blocks(), unshared) for body in bodies]
        self.feature_dim = bodies[0].feature_dim
        self.trunk, self.leader = divided[0][0], leader
        self.branches = nn.ModuleList(branch for _, branch in divided)

    def forward(self, x: Tensor) -> Tensor:
        x = self.trunk(x)
        first, *others = self.branches
        shared = x.detach() if self.leader else x
        return torch.stack([first(x).mean((2, 3)), *(branch(shared).mean((2, 3)) for branch in others)])

    def forward_branch(self, branch: int, x: Tensor) -> Tensor:
        """Compute the features of one branch only: (N, 3, H, W) -> (N, d)."""
        return self.branches[branch](self.trunk(x)).mean((2, 3))


def divide_blocks(stages: list[list[nn.Module]], unshared: Unshared) -> tuple[nn.Sequential, nn.Sequential]:
    """Divide the blocks of a network into those of the trunk and those of a branch."""
    blocks = [block for stage in stages for block in stage]
    own = {"last block": 1, "last stage": len(stages[-1]), "two stages": len(stages[-2]) + len(stages[-1])}
    shared = len(blocks) - own[unshared]
    return nn.Sequential(*blocks[:shared]), nn.Sequential(*blocks[shared:])
