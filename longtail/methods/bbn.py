"""Bilateral-Branch Network (Zhou et al., CVPR 2020): from learning images as they come to learning rare classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import BranchedClassifier, Stage
from longtail.nets import Net


class BBN(BranchedClassifier):
    """Two branches on one trunk, that of images as they come and that of reversed frequency, mixed by a falling alpha.

    Expert 1 is the conventional branch, expert 2 the re-balancing one, and their mean is the paper's test at alpha = .5.
    alpha falls with every step, in the authors' code with every epoch; the learning rate falls as the recipe says.
    """

    def __init__(self, counts: Sequence[int], net: Net):
        super().__init__(counts, net, 2, "last block")  # one block each, all before it shared (Sec. 4.2)

    def stages(self) -> list[Stage]:
        return [Stage("train", samplers=("instance", "reversed"))]

    def forward(self, conventional: Batch, rebalancing: Batch) -> dict[str, Tensor]:
        batches = (conventional, rebalancing)
        v = torch.stack([self.encoders(batch.views[0], branch) for branch, batch in enumerate(batches)])
        z_c, z_r = self.cls(v)
        alpha = 1 - conventional.progress**2  # Eq. 5
        z = alpha * z_c + (1 - alpha) * z_r  # Eq. 1; the authors' code doubles it, which the head can do itself
        return {  # Eq. 3
            "conventional": alpha * cross_entropy(z, conventional.y).mean(),
            "rebalancing": (1 - alpha) * cross_entropy(z, rebalancing.y).mean(),
        }
