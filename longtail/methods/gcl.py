"""GCL: Gaussian clouded logit adjustment (Li et al., CVPR 2022)."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy, gaussian_cloud_size, subtract_gaussian_cloud
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount, HeadShare
from longtail.nets import CosineHeads, Net
from longtail.validation import Range


class GCL(Classifier):
    """Cross-entropy of scaled cosines with random noise subtracted, more for rarer classes; then the head on balanced batches.

    The second stage samples by effective number, as in the paper; the authors' code by default samples classes equally.
    Their code uses mixup in both stages, and in the second a margin of 0.1, a scale of 20 and a focal power of 1. This
    version uses no mixup, which shows the loss alone, and keeps the loss of the first stage.
    """

    cloud: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        scale: Annotated[float, "s, scale of the cosines (Li et al. 2022)", Range(1e-3)] = 30.0,
        cloud: Annotated[float, "size of the rarest class's cloud, as a cosine (authors' code)", Range(0)] = 0.5,
        head_share: HeadShare = 0.13,  # 30 of 230 epochs
    ):
        super().__init__(counts, net, experts, partial(CosineHeads, scale=scale))
        self.head_share = head_share
        self.register_buffer("cloud", scale * cloud * gaussian_cloud_size(self.log_prior), persistent=False)

    def stages(self) -> list[Stage]:
        return [
            Stage("features", 1 - self.head_share),
            Stage("head", self.head_share, samplers=("effective_number",), trains=("cls",)),
        ]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"gcl": cross_entropy(subtract_gaussian_cloud(self.logits(batch.views[0]), self.cloud), batch.y).mean()}
