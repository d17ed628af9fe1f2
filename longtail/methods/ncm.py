"""NCM: nearest class mean (Kang et al., Decoupling, ICLR 2020)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import cross_entropy, one_hot
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount
from longtail.nets import Net


class NearestClassMean(Classifier):
    """Trained by cross-entropy; then an image takes the class whose mean feature has the largest cosine with its own.

    Of the two distances that the paper names this is the cosine. The authors' code takes by default the Euclidean one,
    between features less the mean of all, then normalized, and their means. Here the means become the weights of the head,
    which leaves the norm of the image's feature in the logits: it is the same for all classes and changes no choice. A
    class without training images has no mean and a logit of 0.
    """

    def __init__(self, counts: Sequence[int], net: Net, experts: ExpertCount = 1):
        super().__init__(counts, net, experts)

    def stages(self) -> list[Stage]:
        return [Stage("train"), Stage("means", 0.0)]

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        means = torch.zeros_like(self.cls.weight)
        for batch in batches:
            is_own = one_hot(batch.y, self.classes).to(means.dtype)
            means += is_own.T @ self.features(batch.views[0])  # (C, N) @ (K, N, d); a sum has the direction of the mean
        self.cls.weight.copy_(normalize(means, dim=-1))
        self.cls.bias.zero_()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}
