"""Balanced cross-entropy: Ren et al. 2020 (Balanced Softmax), Menon et al. 2021 (logit adjustment); ECL, Eq. 3."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from torch import Tensor

from longtail.data import Batch
from longtail.losses import balanced_cross_entropy
from longtail.methods.base import Classifier
from longtail.nets import CosineHeads, Heads, Net
from longtail.validation import Range


class BalancedClassifier(Classifier):
    """Cross-entropy of logits plus the log class prior, averaged over K independent networks.

    The prior is added in training only, so the finished model favors no class. ECL calls this balanced classification.
    """

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, independent networks", Range(1)] = 1,
        tau: Annotated[float, "strength of the prior in training (Eq. 3; Menon et al. 2021, Eq. 10)", Range(0)] = 1.0,
        head: Annotated[Literal["linear", "cosine"], "class heads"] = "linear",
        scale: Annotated[float, "scale of a cosine head's logits (Shi et al. 2024)", Range(1e-3)] = 25.0,
    ):
        super().__init__(counts, net, experts, partial(CosineHeads, scale=scale) if head == "cosine" else Heads)
        self.tau = tau

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"bc": balanced_cross_entropy(self.logits(batch.views[0]), batch.y, self.log_prior, self.tau).mean()}

    def assumed_log_prior(self) -> Tensor:
        return (1 - self.tau) * self.log_prior  # the loss adds the rest (Eq. 3)
