"""Balanced Product of Experts (Aimar et al., CVPR 2023): experts for different class priors, uniform on average."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from longtail.augment import mixup
from longtail.data import Batch
from longtail.losses import balanced_cross_entropy
from longtail.methods.base import BranchedClassifier
from longtail.nets import CosineHeads, Net
from longtail.validation import Range


class BalPoE(BranchedClassifier):
    """Experts that learn by balanced cross-entropy of different strength on mixed images; their mean is the product.

    Expert k adds tau_k log prior to its logits. The tau are evenly spaced from 0 to `spread`, so their mean is 1 by default,
    and the mean of the logits assumes equally frequent classes. Mixup, with one share for a batch, serves calibration in
    the paper. The branches have full width, unlike the slim ones of `sade` and `ride`, as in the authors' code.

    The recipe is the common one. The authors train CIFAR-LT at learning rate 0.1 with batch 128, and longer schedules
    with AutoAugment.
    """

    shifts: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, experts that share all but their last two stages (authors' code)", Range(2)] = 3,
        spread: Annotated[float, "tau of the last expert; the first has 0 (authors' code)", Range(0)] = 2.0,
        alpha: Annotated[float, "parameter of mixup's Beta(alpha, alpha) (authors' code)", Range(1e-3)] = 0.4,
        scale: Annotated[float, "s, scale of the cosines (authors' code)", Range(1e-3)] = 30.0,
    ):
        super().__init__(counts, net, experts, "two stages", heads=partial(CosineHeads, scale=scale))
        self.spread, self.alpha = spread, alpha
        tau = torch.linspace(0, spread, experts).view(-1, 1, 1)
        self.register_buffer("shifts", tau * self.log_prior, persistent=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, other, share = mixup(batch.views[0], batch.y, self.alpha)
        return {"experts": self.compute_loss(self.cls(self.encoders(x)), batch.y, other, share)}

    def compute_loss(self, z: Tensor, y: Tensor, other: Tensor, share: Tensor) -> Tensor:
        """Compute the mean loss of the experts under both labels of mixed images: (K, N, C), (N,) x 2, () -> ()."""
        first, second = (balanced_cross_entropy(z, labels, self.shifts).mean() for labels in (y, other))
        return share * first + (1 - share) * second

    def assumed_log_prior(self) -> Tensor:
        return (1 - self.spread / 2) * self.log_prior  # the loss adds the rest, on average over experts
