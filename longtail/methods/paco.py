"""Parametric Contrastive Learning (Cui et al., ICCV 2021): learned class centers among the keys of a contrast."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import parametric_contrastive
from longtail.methods.base import Classifier
from longtail.nets import LabeledQueue, MomentumCopy, Net, build_mlp
from longtail.validation import Range


class PaCo(Classifier):
    """One supervised contrastive loss whose keys are other images and learned class centers.

    The similarities to the centers are the classifier's logits plus the log prior. Defaults are those of an older script of
    the authors for CIFAR-100-LT at imbalance 100; the recipe `paco-cifar` has those of the newest. They train 400 epochs
    at learning rate 0.02 with 10 epochs of warm-up (the newest 0.05), and their "ResNet-32" is twice as wide as that of He
    et al. Here recipe and network are the common ones. The first keys in the queue belong to no class; the authors give
    them random labels.
    """

    assumes = "uniform"
    views = ("strong", "moco")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        alpha: Annotated[
            float, "weight of a positive key; a center has 1 (an older script of the authors)", Range(0)
        ] = 0.02,
        temperature: Annotated[
            float, "temperature of the similarities of images (authors' script)", Range(1e-3)
        ] = 0.05,
        queue: Annotated[int, "Q, keys kept with their labels (authors' script)", Range(1)] = 1024,
        projection: Annotated[int, "width of the contrastive space (an older script of the authors)", Range(1)] = 64,
        key_momentum: Annotated[float, "momentum of the key network (He et al. 2020)", Range(0, 1)] = 0.999,
    ):
        super().__init__(counts, net)
        self.alpha, self.temperature = alpha, temperature
        self.projector = build_mlp(net.feature_dim, net.feature_dim, projection)
        self.key = MomentumCopy(key_momentum, self.encoders, nn.Flatten(0, 1), self.projector)
        self.queue = LabeledQueue(1, self.clip_queue_length(queue), projection)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        (a, b), y = batch.views, batch.y
        v = self.encoders(a)  # (1, N, d)
        query = normalize(self.projector(v[0]), dim=-1)
        key = normalize(self.key(b), dim=-1)
        self.queue.hold(key.unsqueeze(0), y)
        keys = torch.cat([key, self.queue.keys[0]])
        labels, centers = torch.cat([y, self.queue.labels]), self.cls(v)[0] + self.log_prior
        return {"paco": parametric_contrastive(query, keys, y, labels, centers, self.alpha, self.temperature).mean()}

    def after_step(self) -> None:
        self.key.update(self.encoders, self.projector)
        self.queue.push_held()
