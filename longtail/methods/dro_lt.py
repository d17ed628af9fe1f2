"""DRO-LT (Samuel and Chechik, ICCV 2021): features near the worst centroid within a radius of the measured one."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from longtail.data import Batch
from longtail.losses import cross_entropy, robust_contrastive, weighted_mean
from longtail.methods.base import Classifier, Stage
from longtail.nets import Net
from longtail.validation import Range


class Radii(nn.Module):
    """A learned radius around the centroid of each class, 1 at first."""

    def __init__(self, classes: int):
        super().__init__()
        self.epsilon = nn.Parameter(torch.ones(classes))


class DROLT(Classifier):
    """Cross-entropy; then features learn from robust distances to class centroids, on balanced batches; last the head.

    Centroids are the class means of the training features, measured before every epoch of the second stage. The loss
    softens the distances of a centroid to all images of the batch; an image of the class is first moved a radius away.
    Cross-entropy is added with weights that restore the class frequencies, through a frozen head.

    The gradient of the loss can only shrink the radii, and nothing stops them at 0; negative radii make the loss easier.
    On digits-lt all ten end between -1.9 and -3.8 (`longtail train digits-lt dro_lt --epochs 60 --threads 1`, 2026-11-26).
    The authors' code, which made the published numbers, has no bound either.

    Departures. Centroids come from images without augmentation; the code takes augmented, class-balanced ones. The code
    keeps the feature extractor and the head that are best on the test set; here the last epoch counts. The code lists
    images class by class and radii in the order of the batch, so that images get radii of other classes; here each has
    its own. An epoch is N draws, not C times the largest class. All stages follow the recipe's learning rate: the
    authors' constant 0.005 and 0.01 starve small sets.
    """

    assumes = "uniform"  # the head sees balanced batches

    centroids: Tensor
    share: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        temperature: Annotated[float, "temperature of the distances (authors' README)", Range(1e-3)] = 1.0,
    ):
        super().__init__(counts, net)
        self.temperature, self.radii = temperature, Radii(self.classes)
        self.register_buffer("centroids", torch.zeros(self.classes, net.feature_dim))
        self.register_buffer("share", (self.log_prior - self.log_prior.max()).exp(), persistent=False)

    def stages(self) -> list[Stage]:
        return [  # 200, 80 and 20 epochs of the authors' code
            Stage("pretrain", 200, trains=("encoders", "cls")),
            Stage("robust", 80, ("balanced",), ("encoders", "radii")),
            Stage("head", 20, ("balanced",), ("cls",)),
        ]

    def begin_epoch(self, batches: Iterator[Batch]) -> None:
        if self.stage == "robust":
            self.centroids.copy_(self.compute_class_means(batches)[0])

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        v, y = self.encoders(batch.views[0]), batch.y
        ce = cross_entropy(self.cls(v), y)
        if self.stage != "robust":
            return {"ce": ce.mean()}
        robust = robust_contrastive(v[0], y, self.centroids, self.radii.epsilon, self.temperature)
        return {"ce": weighted_mean(ce, self.share[y]).mean(), "robust": robust}
