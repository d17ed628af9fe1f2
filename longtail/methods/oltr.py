"""OLTR (Liu et al., CVPR 2019): features enriched from a memory of class centroids, which only help where they are near."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import cross_entropy, large_margin_memory, squared_distance
from longtail.methods.base import Classifier, Stage
from longtail.nets import Heads, Net
from longtail.validation import Range


class MetaEmbedding(nn.Module):
    """A cosine-like head on features v to which centroids m are added: features (1, N, d) -> logits (1, N, C).

    x = r (v + tanh(E v) * softmax(H v) M) with r = reach / min |v - m|; the logits are scale times w / |w| . x / (1 + |x|).
    H is the hallucinator, E the selector. Until the centroids are measured, the logits are H v.
    """

    filled: Tensor

    def __init__(self, experts: int, inputs: int, outputs: int, reach: float, scale: float):
        super().__init__()
        self.reach, self.scale = reach, scale
        self.hallucinator, self.selector = Heads(experts, inputs, outputs), Heads(experts, inputs, inputs)
        self.weight = nn.Parameter(normalize(torch.randn(experts, outputs, inputs), dim=-1))
        self.centroids = nn.Parameter(torch.zeros(outputs, inputs))
        self.register_buffer("filled", torch.tensor(False))

    def forward(self, v: Tensor) -> Tensor:
        plain, memory = self.hallucinator(v), self.centroids.detach()
        near = squared_distance(v.detach(), memory).amin(-1, keepdim=True).sqrt().clamp_min(1e-6)
        x = self.reach / near * (v + self.selector(v).tanh() * (plain.softmax(-1) @ memory))
        x = x / (1 + x.norm(dim=-1, keepdim=True))
        return torch.where(self.filled, self.scale * x @ normalize(self.weight, dim=-1).transpose(1, 2), plain)


class OLTR(Classifier):
    """A plain network; then, on balanced batches, a head that adds to each feature a mix of learned class centroids.

    The mix is weighted by the plain head and gated by a selector. Features far from all centroids become small. The
    centroids begin as class means of the training features, and learn by their own loss only: features are drawn to
    their centroid and repelled from the others. Defaults are those of the authors' configuration for ImageNet-LT; they
    have none for CIFAR.

    Departures from the authors' code: no modulated attention and no additional layer before the head; plain gradients
    for centroids, which they divide by 1 + the class's images in the batch; no gradient through r; one learning rate;
    images of known classes only. Their first stage has 30 epochs, and is not the plain network of 90 epochs that others
    compare with (issue 28 of their repository).
    """

    cls: MetaEmbedding

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        reach: Annotated[float, "numerator of r (authors' code)", Range(1e-3)] = 10.0,
        scale: Annotated[float, "scale of the logits (authors' code)", Range(1e-3)] = 16.0,
        memory_weight: Annotated[float, "weight of the centroids' loss (ImageNet-LT configuration)", Range(0)] = 0.01,
        repel: Annotated[float, "weight of the repulsion within it (ImageNet-LT configuration)", Range(0)] = 0.01,
        margin: Annotated[float, "mean squared distance that ends the repulsion (authors' code)", Range(0)] = 10.0,
        memory_share: Annotated[
            float, "share of the epochs for the second stage (ImageNet-LT configuration: 60 of 90)", Range(0.01, 0.99)
        ] = 2 / 3,
    ):
        super().__init__(counts, net, heads=partial(MetaEmbedding, reach=reach, scale=scale))
        self.memory_weight, self.repel, self.margin = memory_weight, repel, margin
        self.memory_share = memory_share

    def stages(self) -> list[Stage]:
        return [
            Stage("features", 1 - self.memory_share, trains=("encoders", "cls.hallucinator")),
            Stage("centroids", 0.0),
            Stage("memory", self.memory_share, ("balanced",), ("encoders", "cls")),
        ]

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        self.cls.centroids.copy_(self.compute_class_means(batches)[0])
        self.cls.filled.fill_(True)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        v, y = self.encoders(batch.views[0]), batch.y
        if self.stage != "memory":
            return {"ce": cross_entropy(self.cls.hallucinator(v), y).mean()}
        memory = large_margin_memory(v[0], y, self.cls.centroids, self.repel, self.margin)
        return {"ce": cross_entropy(self.cls(v), y).mean(), "memory": self.memory_weight * memory}
