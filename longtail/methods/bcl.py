"""Balanced Contrastive Learning (Zhu et al., CVPR 2022): a contrast in which every class is present and counts once."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import balanced_contrastive, balanced_cross_entropy
from longtail.methods.base import Classifier
from longtail.nets import CosineHeads, Net, build_mlp
from longtail.validation import Range


class BCL(Classifier):
    """Balanced cross-entropy on one view, and on two others a contrast in which every class counts once in the denominator.

    The paper calls the first logit compensation. The contrast also compares images with class prototypes, which a projection
    makes from the class vectors. Defaults are the paper's for CIFAR-LT. As in the authors' code, all three views pass
    network, projection and their batch norm together. The contrasted views are the "moco" transform, which also blurs.
    """

    cls: CosineHeads

    assumes = "uniform"
    views = ("strong", "moco", "moco")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        classification: Annotated[float, "lambda, weight of logit compensation (Sec. 4)", Range(0)] = 2.0,
        contrast: Annotated[float, "mu, weight of the balanced contrast (Sec. 4)", Range(0)] = 0.6,
        temperature: Annotated[float, "temperature of the contrast (Sec. 4)", Range(1e-3)] = 0.1,
        hidden: Annotated[int, "width inside both projections (Sec. 4)", Range(1)] = 512,
        projection: Annotated[int, "width of the contrastive space (Sec. 4)", Range(1)] = 128,
        scale: Annotated[float, "scale of the cosine classifier (authors' code)", Range(1e-3)] = 30.0,
    ):
        super().__init__(counts, net, heads=partial(CosineHeads, scale=scale))
        self.classification, self.contrast, self.temperature = classification, contrast, temperature
        self.projector, self.of_class = (build_mlp(net.feature_dim, hidden, projection) for _ in range(2))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        n, y = len(batch.y), batch.y
        v = self.encoders(torch.cat(batch.views))  # (1, 3 N, d)
        points = normalize(self.projector(v[0])[n:], dim=-1)
        prototypes = normalize(self.of_class(self.cls.weight[0]), dim=-1)
        contrast = balanced_contrastive(points, torch.cat([y, y]), prototypes, self.temperature).mean()
        compensated = balanced_cross_entropy(self.cls(v[:, :n]), y, self.log_prior).mean()
        return {"bc": self.classification * compensated, "contrast": self.contrast * contrast}
