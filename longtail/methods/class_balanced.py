"""Class-balanced loss by the effective number of samples (Cui et al., CVPR 2019)."""

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy, effective_number_weights, focal_loss
from longtail.methods.base import Classifier
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class ClassBalanced(Classifier):
    """Cross-entropy or focal loss, each image weighted by (1 - beta) / (1 - beta^n) for the n images of its class.

    The focal loss uses a softmax, as `focal` does. The paper's focal loss sums sigmoid losses over the classes.
    """

    weight: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        beta: Annotated[
            float, "0 weights all classes equally, 1 by inverse frequency (Cui et al. 2019)", Range(0, 1)
        ] = 0.9999,
        loss: Annotated[Literal["ce", "focal"], "weighted loss: cross-entropy or focal"] = "ce",
        gamma: Annotated[float, "power of the focal loss, with loss = focal (Cui et al. 2019)", Range(0)] = 1.0,
    ):
        super().__init__(counts, net, experts)
        self.loss, self.gamma = loss, gamma
        self.register_buffer("weight", effective_number_weights(counts, beta), persistent=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        z, y = self.logits(batch.views[0]), batch.y
        loss = cross_entropy(z, y) if self.loss == "ce" else focal_loss(z, y, self.gamma)
        return {"balanced": (self.weight[y] * loss).mean()}

    def assumed_log_prior(self) -> Tensor | None:
        return (
            self.log_prior + self.weight.log() if self.loss == "ce" else None
        )  # a weight acts like more or fewer images
