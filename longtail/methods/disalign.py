"""DisAlign: distribution alignment (Zhang et al., CVPR 2021)."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from longtail.data import Batch
from longtail.losses import cross_entropy, inverse_frequency_weights, weighted_mean
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount, HeadShare
from longtail.nets import Heads, Net
from longtail.validation import Range


class Calibration(nn.Module):
    """Calibrated logits s (a z + b) + (1 - s) z with a confidence s in (0, 1): (K, N, C), (K, N, d) -> (K, N, C).

    s is the sigmoid of a linear function of the features. With a = 1 and b = 0, as at first, the logits are z.
    """

    def __init__(self, experts: int, width: int, classes: int):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(experts, 1, classes)), nn.Parameter(torch.zeros(experts, 1, classes))
        self.confidence = Heads(experts, width, 1)

    def forward(self, z: Tensor, v: Tensor) -> Tensor:
        s = self.confidence(v).sigmoid()
        return s * (self.a * z + self.b) + (1 - s) * z


class DisAlign(Classifier):
    """Cross-entropy; then the network is frozen, and a calibration of its logits learns with weights 1 / n^rho.

    The calibration is s (a z + b) + (1 - s) z with a confidence s for each image, as printed. The authors' code for images
    has (1 + s a) z + s b, which does not start from the logits of the first stage. The weights of their confidence start
    at 0.1. Their frozen batch norm stays in training mode; here it is in evaluation mode.
    """

    weight: Tensor

    inference = ("encoders", "cls", "calibration")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        rho: Annotated[
            float, "power of the generalized re-weighting (authors' ImageNet-LT configuration)", Range(0)
        ] = 1.2,
        head_share: HeadShare = 0.1,  # 10 of 100 epochs
    ):
        super().__init__(counts, net, experts)
        self.head_share, self.calibration = head_share, Calibration(experts, net.feature_dim, self.classes)
        self.register_buffer("weight", inverse_frequency_weights(counts, rho), persistent=False)

    def stages(self) -> list[Stage]:
        return [
            Stage("features", 1 - self.head_share, trains=("encoders", "cls")),
            Stage("alignment", self.head_share, trains=("calibration",)),
        ]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        loss = cross_entropy(self.logits(batch.views[0]), batch.y)
        if self.stage == "alignment":
            return {"aligned": weighted_mean(loss, self.weight[batch.y]).mean()}
        return {"ce": loss.mean()}

    def logits(self, x: Tensor) -> Tensor:
        v = self.features(x)
        return self.calibration(self.cls(v), v)
