"""NCM: nearest class mean (Kang et al., Decoupling, ICLR 2020)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import cross_entropy, one_hot
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount
from longtail.nets import Heads, Net


class NearestClassMean(Classifier):
    """Cross-entropy; then an image gets the class whose mean feature has the largest cosine with the image's feature.

    The paper names two distances, and this is the cosine. The authors' default is the Euclidean distance of centered,
    normalized features. Here the normalized means become the weights of the head. The logits keep the norm of the image's
    feature, which changes no prediction. A class without training images has no mean, and its logit is 0.
    """

    cls: Heads

    def __init__(self, counts: Sequence[int], net: Net, experts: ExpertCount = 1):
        super().__init__(counts, net, experts)

    def stages(self) -> list[Stage]:
        return [Stage("train"), Stage("means", 0.0)]

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        means = torch.zeros_like(self.cls.weight)
        for batch in batches:
            is_class = one_hot(batch.y, self.classes).to(means.dtype)
            # (C, N) @ (K, N, d); the sum suffices, since only the direction of the mean is used
            means += is_class.T @ self.features(batch.views[0])
        self.cls.weight.copy_(normalize(means, dim=-1))
        self.cls.bias.zero_()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}
