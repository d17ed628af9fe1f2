"""CMO with RIDE: diverse experts on images with patches of rare classes (Park et al., CVPR 2022; Wang et al., ICLR 2021)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from torch import Tensor

from longtail.augment import paste_patches
from longtail.data import Batch
from longtail.methods.base import Stage
from longtail.methods.ride import RIDE
from longtail.nets import Net
from longtail.validation import Range


class CMORIDE(RIDE):
    """RIDE's experts on CMO's images; both labels count by their area in LDAM, and the router learns as in RIDE.

    How the two meet is our reading, as their code was not published: margin and weight are those of the label at hand, and
    the divergence is computed once, on the logits of the mixed images. The authors' comparison with the pause is strict, so
    that they start one epoch later.
    """

    trains_on_features = False  # it pastes boxes of pixels

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, branches on one trunk (ECL's tables)", Range(2)] = 4,
        diversity: Annotated[float, "lambda, weight of the divergence (authors' code, CIFAR)", Range(0)] = 0.2,
        gamma: Annotated[
            float, "how strongly a class's temperature follows its count (authors' code)", Range(0, 0.99)
        ] = 0.05,
        margin: Annotated[float, "margin of the rarest class (Cao et al. 2019, LDAM)", Range(0)] = 0.5,
        scale: Annotated[float, "s, scale of the cosines (Cao et al. 2019)", Range(1e-3)] = 30.0,
        defer: Annotated[float, "share of training before weights and temperatures: 160 of 200", Range(0, 1)] = 0.8,
        routing: Annotated[float, "epochs of the router over those of the experts: 5 of 200", Range(1e-3, 1)] = 0.025,
        asks: Annotated[
            float, "weight of images that need one more expert (authors' code, CIFAR)", Range(1e-3)
        ] = 100.0,
        top: Annotated[int, "largest logits that the router sees (authors' code, CIFAR)", Range(1)] = 30,
        patches: Annotated[
            Literal["balanced", "reversed"],
            "classes of the patches: equally likely, or by 1 / n (r = 1, 2 in the code)",
        ] = "balanced",
        probability: Annotated[float, "probability of mixing a batch (authors' code)", Range(0, 1)] = 0.5,
        pause: Annotated[float, "share of training at each end without mixing: 3 of 200 epochs", Range(0, 0.5)] = 0.015,
    ):
        super().__init__(counts, net, experts, diversity, gamma, margin, scale, defer, routing, asks, top)
        self.patches, self.probability, self.pause = patches, probability, pause

    def stages(self) -> list[Stage]:
        experts, router = super().stages()
        return [replace(experts, samplers=("instance", self.patches)), router]

    def forward(self, batch: Batch, patches: Batch | None = None) -> dict[str, Tensor]:
        if patches is None:  # the router
            return super().forward(batch)
        pair, progress = (batch.views[0], patches.views[0]), batch.progress
        x, share = paste_patches(*pair, progress, self.probability, self.pause)
        z, early = self.cls(self.encoders(x)), progress < self.defer
        own, pasted = (self.compute_ldam(z, y, early) for y in (batch.y, patches.y))
        return {"ldam": share * own + (1 - share) * pasted, "diversity": self.compute_diversity(z, early)}
