"""Instance difficulty with causal norm (probably Yu et al., CVPR 2022, on Tang et al., NeurIPS 2020)."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from torch import Tensor

from longtail.data import Batch
from longtail.errors import LongtailError
from longtail.losses import cross_entropy, prediction_change
from longtail.methods.causal_norm import CausalNorm
from longtail.nets import Net
from longtail.validation import Range

MAX_MEMORY = 1 << 30  # bytes of the predictions for all training images


class TDEIDR(CausalNorm):
    """Causal norm whose images weigh more the more often their predictions moved away from the label.

    Before every epoch, the predictions of all training images are compared with those of the epoch before. Difficulty
    is D = (c + sum of unlearning) / (c + sum of learning), both measured by `losses.prediction_change`. The predictions
    before the first epoch count as uniform.

    ECL's table cites the method as TDE + IDR; that Yu et al. is its source is our reading. There is no official code:
    the formulas are those of two ports, one of which quotes Eq. 4, 6 and 7. The value of c is a port's. The ports draw
    images by their difficulty; here images come as they are and their loss weighs D / mean D, the same gradient on
    average. Predictions are those of the training logits; the sources do not say whether causal norm subtracts first.
    The stored predictions take 4 N C bytes, also in every checkpoint; more than 1 GiB are refused.
    """

    before: Tensor
    back: Tensor
    ahead: Tensor
    begun: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        offset: Annotated[float, "c, added to both sums of the difficulty (a port of Yu et al.)", Range(1e-6)] = 1.0,
        parts: Annotated[int, "M, heads that share the features (Tang et al. 2020, Eq. 5)", Range(1)] = 2,
        tau: Annotated[float, "scale of the logits (Tang et al. 2020, Eq. 7)", Range(1e-3)] = 16.0,
        gamma: Annotated[float, "added to the norm of the weights (Tang et al. 2020, Eq. 7)", Range(0)] = 1 / 32,
        alpha: Annotated[
            float, "strength of the subtraction (Eq. 8; authors: CIFAR-10 1, CIFAR-100 1.5, ImageNet-LT 3)", Range(0)
        ] = 1.0,
        mean_momentum: Annotated[
            float, "momentum of the mean feature, that of SGD (Tang et al. 2020, Assumption 1)", Range(0, 1)
        ] = 0.9,
    ):
        super().__init__(counts, net, 1, parts, tau, gamma, alpha, mean_momentum)
        n = sum(counts)
        if (needed := 4 * n * self.classes) > MAX_MEMORY:
            raise LongtailError(
                f"tde_idr would keep {needed / 2**30:.0f} GiB of predictions for {n:,} images of {self.classes:,} classes, "
                "and 1 GiB is its limit; take causal_norm"
            )
        self.offset = offset
        self.register_buffer("before", torch.full((n, self.classes), 1 / self.classes))
        self.register_buffer("back", torch.zeros(n))
        self.register_buffer("ahead", torch.zeros(n))
        self.register_buffer("begun", torch.tensor(False))

    def begin_epoch(self, batches: Iterator[Batch]) -> None:
        for batch in batches:
            p = self.cls(self.features(batch.views[0]))[0].softmax(-1).clamp_min(1e-8)
            p = torch.where(self.begun, p, self.before[batch.index])  # an untrained network has learned nothing
            unlearned, learned = prediction_change(self.before[batch.index], p, batch.y)
            self.back[batch.index] += unlearned
            self.ahead[batch.index] += learned
            self.before[batch.index] = p
        self.begun.fill_(True)

    def compute_difficulty(self) -> Tensor:
        """Compute the difficulty of every training image (Eq. 4): -> (N,)."""
        return (self.offset + self.back) / (self.offset + self.ahead)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        v, difficulty = self.features(batch.views[0]), self.compute_difficulty()
        self.cls.update(v, self.mean_momentum)
        weight = difficulty[batch.index] / difficulty.mean()
        return {"ce": (weight * cross_entropy(self.cls(v), batch.y)).mean()}
