"""CMO: context-rich minority over-sampling (Park et al., CVPR 2022)."""

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor

from longtail.augment import paste_patches
from longtail.data import Batch
from longtail.losses import balanced_cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class CMO(Classifier):
    """CutMix with patches from rare classes on images at their natural frequency; both labels count by their area.

    The authors weight classes by 1 / n for each *image*, which makes the classes equally likely; so do the defaults here.
    Their comparison with the pause is strict, so that they start one epoch later.
    """

    trains_on_features = False  # it pastes boxes of pixels

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        patches: Annotated[
            Literal["balanced", "reversed"],
            "classes of the patches: equally likely, or by 1 / n (r = 1, 2 in the code)",
        ] = "balanced",
        tau: Annotated[float, "prior in the loss: 0 for the paper's CE, 1 for its balanced softmax", Range(0)] = 0.0,
        probability: Annotated[float, "probability of mixing a batch (authors' code)", Range(0, 1)] = 0.5,
        pause: Annotated[float, "share of training at each end without mixing: 3 of 200 epochs", Range(0, 0.5)] = 0.015,
    ):
        super().__init__(counts, net, experts)
        self.patches, self.tau, self.probability, self.pause = patches, tau, probability, pause

    def stages(self) -> list[Stage]:
        return [Stage("train", samplers=("instance", self.patches))]

    def forward(self, batch: Batch, patches: Batch) -> dict[str, Tensor]:
        pair = batch.views[0], patches.views[0]
        x, share = paste_patches(*pair, batch.progress, self.probability, self.pause)
        z = self.logits(x)
        base, pasted = (balanced_cross_entropy(z, y, self.log_prior, self.tau) for y in (batch.y, patches.y))
        return {"cutmix": (share * base + (1 - share) * pasted).mean()}
