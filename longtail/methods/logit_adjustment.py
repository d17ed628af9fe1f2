"""Logit adjustment after training (Menon et al., ICLR 2021); its training-time form is `bc`."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from longtail.data import Batch
from longtail.losses import adjust_logits, cross_entropy
from longtail.methods.base import Classifier
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class LogitAdjustment(Classifier):
    """Plain cross-entropy in training; the finished model subtracts tau log prior from its logits (Eq. 9).

    The paper's other form, with the prior in the training loss (Eq. 10), is the method `bc`.
    """

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        tau: Annotated[float, "strength of the adjustment (Menon et al. 2021, Eq. 9)", Range(0)] = 1.0,
    ):
        super().__init__(counts, net, experts)
        self.tau = tau

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(super().logits(batch.views[0]), batch.y).mean()}

    def logits(self, x: Tensor) -> Tensor:
        return adjust_logits(super().logits(x), self.log_prior, self.tau)

    def assumed_log_prior(self) -> Tensor:
        return (1 - self.tau) * self.log_prior  # the adjustment removes tau of it (Eq. 9)
