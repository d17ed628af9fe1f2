"""LADE: disentangling the label distribution (Hong et al., CVPR 2021)."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from longtail.data import Batch
from longtail.losses import balanced_cross_entropy, lade_regularizer
from longtail.methods.base import Classifier
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class LADE(Classifier):
    """Balanced cross-entropy, and a regularizer (LADER) that pulls the logits to log p(x | c) / p(x) for equally likely classes.

    alpha and lambda are the authors' for CIFAR-100-LT at imbalance 100; for ImageNet-LT they use 0.05 and 0.5.
    """

    assumes = "uniform"  # the paper adds the log of the target prior at test time

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        alpha: Annotated[float, "weight of the regularizer (authors' command, CIFAR-100-LT)", Range(0)] = 0.1,
        penalty: Annotated[
            float, "lambda, weight of the squared log-partition (authors' command, CIFAR-100-LT)", Range(0)
        ] = 0.01,
    ):
        super().__init__(counts, net, experts)
        self.alpha, self.penalty = alpha, penalty

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        z, y = self.logits(batch.views[0]), batch.y
        return {
            "bc": balanced_cross_entropy(z, y, self.log_prior).mean(),
            "lader": self.alpha * lade_regularizer(z, y, self.log_prior, self.penalty).mean(),
        }
