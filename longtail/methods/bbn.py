"""Bilateral-Branch Network (Zhou et al., CVPR 2020): training that moves from all images to rare classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import BranchedClassifier, Stage
from longtail.nets import Net


class BBN(BranchedClassifier):
    """Two branches on one trunk: one sees images at their natural frequency, one mostly rare classes; alpha mixes their logits.

    alpha falls from 1 to 0 during training. Expert 1 is the conventional branch and expert 2 the re-balancing branch. Their
    mean is the paper's prediction, at alpha = 0.5. Here alpha falls with every step, in the authors' code with every
    epoch. The learning rate follows the recipe.
    """

    def __init__(self, counts: Sequence[int], net: Net):
        super().__init__(
            counts, net, 2, "last block"
        )  # a branch is one block; all earlier blocks are shared (Sec. 4.2)

    def stages(self) -> list[Stage]:
        return [Stage("train", samplers=("instance", "reversed"))]

    def forward(self, conventional: Batch, rebalancing: Batch) -> dict[str, Tensor]:
        batches = (conventional, rebalancing)
        v = torch.stack([self.encoders(batch.views[0], branch) for branch, batch in enumerate(batches)])
        z_c, z_r = self.cls(v)
        alpha = 1 - conventional.progress**2  # Eq. 5
        z = alpha * z_c + (1 - alpha) * z_r  # Eq. 1; the authors' code doubles z, which the head can learn
        return {  # Eq. 3
            "conventional": alpha * cross_entropy(z, conventional.y).mean(),
            "rebalancing": (1 - alpha) * cross_entropy(z, rebalancing.y).mean(),
        }
