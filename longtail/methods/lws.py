"""LWS: learnable weight scaling (Kang et al., Decoupling, ICLR 2020)."""

from collections.abc import Sequence

from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount, HeadShare
from longtail.nets import ClassScales, Net


class LearnableWeightScaling(Classifier):
    """Cross-entropy on all images; then one learned factor for the logit of each class, on class-balanced batches.

    The factor scales the bias too, as in the authors' code. The frozen network's batch norm is in evaluation mode, as in
    `crt`; the authors' code leaves it in training mode.
    """

    inference = ("encoders", "cls", "scale")

    assumes = "uniform"  # the factors see balanced batches

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        head_share: HeadShare = 0.1,  # 10 of 100 epochs; the authors' code trains 5
    ):
        super().__init__(counts, net, experts)
        self.head_share, self.scale = head_share, ClassScales(experts, self.classes)

    def stages(self) -> list[Stage]:
        return [
            Stage("features", 1 - self.head_share, trains=("encoders", "cls")),
            Stage("scale", self.head_share, samplers=("balanced",), trains=("scale",)),
        ]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}

    def logits(self, x: Tensor) -> Tensor:
        return self.scale(super().logits(x))
