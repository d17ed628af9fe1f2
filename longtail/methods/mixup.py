"""Mixup (Zhang et al., ICLR 2018): the augmentation that long-tailed variants are compared with."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from longtail.augment import mixup
from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class Mixup(Classifier):
    """Cross-entropy on images mixed in pairs, where both labels count by their share; all pairs of a batch have one share."""

    assumes = "train"

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        alpha: Annotated[float, "parameter of Beta(alpha, alpha), for CIFAR (Zhang et al. 2018)", Range(1e-3)] = 1.0,
    ):
        super().__init__(counts, net, experts)
        self.alpha = alpha

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, other, share = mixup(batch.views[0], batch.y, self.alpha)
        z = self.logits(x)
        return {"mixup": (share * cross_entropy(z, batch.y) + (1 - share) * cross_entropy(z, other)).mean()}
