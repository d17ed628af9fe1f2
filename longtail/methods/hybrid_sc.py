"""Hybrid networks (Wang et al., CVPR 2021): a supervised contrast that hands over to a balanced classifier."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import cross_entropy, supervised_contrastive
from longtail.methods.base import Classifier, Stage
from longtail.nets import Net, Projectors
from longtail.validation import Range


class HybridSC(Classifier):
    """alpha times a supervised contrast on images as they come, plus 1 - alpha times cross-entropy on balanced batches.

    alpha = 1 - progress^2 falls from 1 to 0, so the head has no gradient at the very first step. The contrast compares both
    views of a batch. Both batches pass the network and its batch norm together. This is Hybrid-SC; the paper's Hybrid-PSC,
    with class prototypes, is not included.

    Departures. The paper prints the contrast as a sum over the batch; here it is the mean, as in the code of SupCon
    (Khosla et al. 2020). The recipe has smaller batches than the paper's 512 images, so a rare class often has its own
    second view as its only positive. alpha falls with every step, in the paper with every epoch. The views are "strong"
    and "moco" instead of the paper's two equal ones.
    """

    assumes = "uniform"  # the head sees balanced batches
    views = ("strong", "moco")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        temperature: Annotated[float, "temperature of the contrast (Wang et al. 2021)", Range(1e-3)] = 0.1,
        projection: Annotated[int, "width of the contrastive space (SupCon; the paper is silent)", Range(1)] = 128,
    ):
        super().__init__(counts, net)
        self.temperature, self.projector = temperature, Projectors(1, net.feature_dim, projection)

    def stages(self) -> list[Stage]:
        return [Stage("train", samplers=("instance", "balanced"))]

    def forward(self, batch: Batch, balanced: Batch) -> dict[str, Tensor]:
        n, y = len(batch.y), batch.y
        v = self.encoders(torch.cat([*batch.views, balanced.views[0]]))  # (1, 3 N, d)
        points = normalize(self.projector(v[:, : 2 * n])[0], dim=-1)
        contrast = supervised_contrastive(points, torch.cat([y, y]), self.temperature).mean()
        ce = cross_entropy(self.cls(v[:, 2 * n :]), balanced.y).mean()
        alpha = 1 - batch.progress**2
        return {"contrast": alpha * contrast, "ce": (1 - alpha) * ce}
