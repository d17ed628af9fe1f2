"""Targeted Supervised Contrastive learning (Li et al., CVPR 2022): features drawn to fixed, evenly spread class targets."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Literal

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import Batch, Split
from longtail.losses import (
    cross_entropy,
    effective_number_weights,
    ldam_margins,
    one_hot,
    sample_positives,
    subtract_margin,
    targeted_contrastive,
    weighted_mean,
)
from longtail.methods.base import Classifier, Stage
from longtail.nets import CosineHeads, Heads, LabeledQueue, MomentumCopy, Net, Projectors
from longtail.validation import Range

# of the classifier "ldam": Cao et al. 2019, authors' code; the supplement names LDAM and class weights without numbers
SCALE, MARGIN, BETA = 30.0, 0.5, 0.9999


class TSC(Classifier):
    """A supervised contrast (KCL), then the same with class targets; last a head on frozen features.

    The positives of an image are its own key and a few random keys of its class. In the second stage, C targets, spread
    evenly over the sphere, are contrasts too, and each image is also drawn to the target of its class. Before every epoch of
    that stage, the Hungarian method assigns targets to the nearest moving class centroids. The classifier "ldam" is a
    cosine head with margins and class weights, as on CIFAR; "balanced" is cross-entropy on balanced batches, as on
    large sets.

    Departures from the authors' code. A queue stands in for their batch of 2 x 1024 views. Their CIFAR code assigns no
    targets: the classes keep a fixed order (issue 15 of their repository). Their ImageNet code assigns at every step, and
    divides the loss by k + 2; here it is the mean and pull of the supplement (App. B), the mean over the positives that the
    queue has. Their centroids begin as random vectors when the targets come in; here they follow the first stage too, so
    that the first assignment has centroids to go by. The CIFAR authors train 1000 epochs and 200 for the head; the stages
    here share the epochs of the recipe in the same proportion. The head has the recipe's learning rate; theirs is 0.1 on
    CIFAR (the encoder's 0.5) and 10 on ImageNet-LT (0.1). Their code for the head on CIFAR is not public.

    Features learn by contrast alone, which takes long. On digits-lt top-1 is 76.6 after 60 epochs, where cross-entropy has
    85.4, and 84.4 after 200, where it has 92.1 (`longtail train digits-lt tsc --epochs 60 --threads 1`, seed 0, 2026-11-26).
    """

    views = ("strong", "moco")

    targets: Tensor
    centroids: Tensor
    assigned: Tensor
    margin: Tensor
    weight: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        positives: Annotated[int, "k, keys of the same class beside the own (authors' code)", Range(0)] = 6,
        pull: Annotated[float, "lambda, weight of the own target (authors' code)", Range(0)] = 0.2,
        temperature: Annotated[float, "temperature of the contrast (authors' code)", Range(1e-3)] = 0.07,
        queue: Annotated[int, "Q, keys kept with their labels; 65536 on ImageNet-LT (authors' code)", Range(1)] = 2048,
        projection: Annotated[int, "width of the contrastive space (authors' code)", Range(2)] = 128,
        key_momentum: Annotated[float, "momentum of the key network (He et al. 2020)", Range(0, 1)] = 0.999,
        centroid_momentum: Annotated[float, "momentum of the class centroids (authors' code)", Range(0, 1)] = 0.9,
        classifier: Annotated[
            Literal["ldam", "balanced"], "last stage; authors: ldam on CIFAR, balanced on large sets"
        ] = "ldam",
    ):
        super().__init__(counts, net, heads=partial(CosineHeads, scale=SCALE) if classifier == "ldam" else Heads)
        self.positives, self.pull, self.temperature, self.classifier = positives, pull, temperature, classifier
        self.centroid_momentum = centroid_momentum
        self.assumes = "uniform" if classifier == "balanced" else None
        self.projector = Projectors(1, net.feature_dim, projection)
        self.key = MomentumCopy(key_momentum, self.encoders, self.projector)
        self.queue = LabeledQueue(1, self.clip_queue_length(queue), projection)
        self.register_buffer("targets", torch.zeros(self.classes, projection))
        self.register_buffer("centroids", torch.zeros(self.classes, projection))
        self.register_buffer("assigned", torch.arange(self.classes))
        self.register_buffer("margin", SCALE * ldam_margins(self.log_prior, MARGIN), persistent=False)
        self.register_buffer("weight", effective_number_weights(counts, BETA), persistent=False)
        self.notes.append("the head of tsc learns in the last stage only; tests before that show an untrained head")

    def stages(self) -> list[Stage]:
        sampler = "instance" if self.classifier == "ldam" else "balanced"
        # keys are normalized by the statistics of their batch, as queries are
        kcl, targets = (
            Stage(name, 5 / 12, trains=("encoders", "projector"), updates_batch_norm=("key",))
            for name in ("kcl", "targets")
        )
        return [kcl, targets, Stage("classifier", 1 / 6, (sampler,), ("cls",))]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        super().begin_stage(stage, split)
        if stage.name == "targets":
            self.targets.copy_(spread_targets(self.classes, self.targets.shape[1], self.targets.device))

    def begin_epoch(self, batches: Iterator[Batch]) -> None:
        if self.stage == "targets":
            nearness = (self.centroids @ self.targets.T).cpu().numpy()
            self.assigned.copy_(torch.from_numpy(linear_sum_assignment(nearness, maximize=True)[1]))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        (a, b), y = batch.views, batch.y
        if self.stage == "classifier":
            return {self.classifier: self.compute_head_loss(self.logits(a), y)}
        query = normalize(self.projector(self.encoders(a))[0], dim=-1)
        key = normalize(self.key(b), dim=-1)
        self.queue.hold(key, y)
        self.follow(query.detach(), y)
        aim = (self.targets, self.assigned[y], self.pull) if self.stage == "targets" else ()
        positives = sample_positives(y, self.queue.labels, self.positives)
        loss = targeted_contrastive(query, key[0], self.queue.keys[0], positives, self.temperature, *aim)
        return {"contrast": loss.mean()}

    def compute_head_loss(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of the head on frozen features: (1, N, C), (N,) -> ()."""
        if self.classifier == "balanced":
            return cross_entropy(z, y).mean()
        return weighted_mean(cross_entropy(subtract_margin(z, y, self.margin), y), self.weight[y]).mean()

    @torch.no_grad()
    def follow(self, query: Tensor, y: Tensor) -> None:
        """Move the centroids of the classes in the batch towards their mean query, (N, d), (N,)."""
        own, m = one_hot(y, self.classes), self.centroid_momentum
        moved = m * self.centroids + (1 - m) * normalize(own.T.to(query.dtype) @ query, dim=-1)
        self.centroids.copy_(torch.where(own.any(0).unsqueeze(1), normalize(moved, dim=-1), self.centroids))

    def after_step(self) -> None:
        if self.stage != "classifier":
            self.key.update(self.encoders, self.projector)
            self.queue.push_held()


def spread_targets(
    classes: int, width: int, device: torch.device | None = None, temperature: float = 0.07, steps: int = 10_000
) -> Tensor:
    """Return unit vectors that are as far apart as possible, (C, width) (Li et al. 2022, target generation).

    With C <= width + 1 they are a regular simplex. Otherwise Adam minimizes their uniformity, from seeded vectors.
    """
    if classes <= width + 1:
        i, k = torch.arange(classes).view(-1, 1), torch.arange(1, classes)
        # Helmert's basis of the vectors whose entries sum to 0; its columns are the corners of a simplex
        basis = torch.where(i < k, 1, torch.where(i == k, -k, 0)) / (k * (k + 1)).sqrt()
        corners = basis * math.sqrt(classes / (classes - 1))
        return torch.cat([corners, corners.new_zeros(classes, width - classes + 1)], 1).to(device)
    start = torch.randn(classes, width, generator=torch.Generator().manual_seed(0))
    with torch.enable_grad():
        targets = normalize(start, dim=-1).to(device).requires_grad_()
        optimizer = torch.optim.Adam([targets], 1e-3)
        for _ in range(steps):
            optimizer.zero_grad()
            compute_uniformity(normalize(targets, dim=-1), temperature).backward()
            optimizer.step()
    return normalize(targets.detach(), dim=-1)


def compute_uniformity(targets: Tensor, temperature: float) -> Tensor:
    """Compute the mean over i of log sum over j of exp(t_i . t_j / T), which is small if points are spread: (C, d) -> ()."""
    return (targets @ targets.T / temperature).logsumexp(-1).mean()
