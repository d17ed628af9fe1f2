"""LFME: learning from multiple experts (Xiang et al., ECCV 2020)."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy, expert_weight, subset_kl
from longtail.methods.base import Classifier, Stage
from longtail.metrics import GROUPS, shot_group
from longtail.nets import Experts, Heads, Net
from longtail.validation import Range

DECAY = 0.99  # of the sums behind the running accuracies


class LFME(Classifier):
    """An expert for each of the many-, medium- and few-shot classes; then a student that all experts teach.

    Loss of the student, on class-balanced batches: mean of v CE + sum over experts l of w_l KL(softmax(t_l / T) ||
    softmax(s / T) on the classes of l), the KL over all images and without T^2. Weight w_l is 1 until the student's
    accuracy on the classes of l is `enough` of the expert's, and falls to 0 where they are equal (`expert_weight`).
    Weight v of an image rises to 1 during the share `curriculum` of the stage (`rise_to_one`). It begins at the expert's
    confidence in its label, scaled from a floor to 1 within the class. The floor is the mean class size of the rarest group
    over that of the class's own group. Empty groups have no expert.
    Departures: the authors measure accuracies on validation images, here they run over training batches, so w falls
    differently. Their code multiplies logits by v and lets v pass 1; here v weighs the loss and stops at 1. Their experts
    see their own images only; here they share batches, so that their batch norm sees all images. The authors train the
    experts for 120 epochs and the student for 90; here they share those of the run.
    """

    assumes = "uniform"  # the student sees balanced batches

    subset: Tensor
    floor: Tensor
    easy: Tensor
    hits: Tensor
    seen: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        temperature: Annotated[float, "T of the distillation (authors' code)", Range(1e-3)] = 2.0,
        enough: Annotated[
            float, "share of an expert's accuracy from which it teaches less (authors' code)", Range(0, 0.99)
        ] = 0.3,
        curriculum: Annotated[
            float, "share of the stage until every image counts fully (authors' code)", Range(0.01, 1)
        ] = 0.5,
        expert_share: Annotated[
            float, "share of the epochs for the experts (authors: 120 of 210)", Range(0.01, 0.99)
        ] = 0.5,
    ):
        super().__init__(counts, net)
        self.temperature, self.enough, self.curriculum, self.expert_share = (
            temperature,
            enough,
            curriculum,
            expert_share,
        )
        groups = [shot_group(n) for n in counts]
        subset = torch.tensor([[g == group for g in groups] for group in GROUPS if group in groups])  # (S, C)
        self.teachers = Experts(net.encoder, len(subset))
        self.teacher_heads = Heads(len(subset), net.feature_dim, self.classes)
        n = torch.tensor(counts).clamp_min(1)
        sizes = (subset * n).sum(1) / subset.sum(1)  # mean class size of a group, the rarest last
        self.register_buffer("subset", subset.unsqueeze(1), persistent=False)
        self.register_buffer("floor", (subset.T * (sizes[-1] / sizes)).sum(1), persistent=False)  # (C,)
        self.register_buffer("easy", torch.ones(sum(counts)))  # v at the beginning of the student's stage
        self.register_buffer("hits", torch.zeros(2, len(subset)))  # right answers of student and expert on its classes
        self.register_buffer("seen", torch.zeros(len(subset)))  # images of its classes
        self.notes.append(
            "lfme trains its experts first; until the student's stage, accuracies are of an untrained student"
        )

    def stages(self) -> list[Stage]:
        return [
            Stage("experts", self.expert_share, trains=("teachers", "teacher_heads")),
            Stage("confidence", 0.0),
            Stage("student", 1 - self.expert_share, ("balanced",), ("encoders", "cls")),
        ]

    def guide(self, x: Tensor) -> Tensor:
        """Compute the experts' logits, -inf outside of their classes: (N, 3, H, W) -> (S, N, C)."""
        return self.teacher_heads(self.teachers(x)).masked_fill(~self.subset, -torch.inf)

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        sure, labels = torch.zeros_like(self.easy), torch.zeros_like(self.easy, dtype=torch.long)
        for batch in batches:
            p = self.guide(batch.views[0]).softmax(-1).sum(0)  # a class is in the subset of one expert
            sure[batch.index] = p.gather(-1, batch.y.unsqueeze(-1)).squeeze(-1)
            labels[batch.index] = batch.y
        self.easy.copy_(compute_easiness(sure, labels, self.floor))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.views[0], batch.y
        inside = self.subset[:, 0, y]  # (S, N), whether the label is in the expert's subset
        if self.stage == "experts":
            ce = torch.where(inside, cross_entropy(self.guide(x), y), 0.0)
            return {"experts": (ce.sum(-1) / inside.sum(-1).clamp_min(1)).sum()}
        with torch.no_grad():
            t = self.guide(x)
        z = self.logits(x)[0]
        v = rise_to_one(self.easy[batch.index], batch.progress / self.curriculum)
        w = expert_weight(self.measure_accuracy(z, t, y, inside), self.enough)
        kl = subset_kl(z, t, self.subset, self.temperature).mean(-1)
        return {"ce": (v * cross_entropy(z, y)).mean(), "distil": (w * kl).sum()}

    @torch.no_grad()
    def measure_accuracy(self, z: Tensor, t: Tensor, y: Tensor, inside: Tensor) -> Tensor:
        """Return the running accuracies of student and experts on the experts' classes, this batch included.

        (N, C), (S, N, C), (N,), (S, N) -> (2, S)
        """
        right = torch.stack([(z.argmax(-1) == y) & inside, (t.argmax(-1) == y) & inside])
        self.hits.mul_(DECAY).add_(right.sum(-1))
        self.seen.mul_(DECAY).add_(inside.sum(-1))
        return self.hits / self.seen.clamp_min(torch.finfo(self.seen.dtype).tiny)


def compute_easiness(sure: Tensor, labels: Tensor, floor: Tensor) -> Tensor:
    """Scale confidences from each class's smallest and largest to its floor and 1: (N,), (N,), (C,) -> (N,)."""
    low, high = (
        sure.new_zeros(len(floor)).scatter_reduce(0, labels, sure, how, include_self=False) for how in ("amin", "amax")
    )
    span = (high - low).clamp_min(torch.finfo(sure.dtype).tiny)[labels]
    return floor[labels] + (1 - floor[labels]) * (sure - low[labels]) / span


def rise_to_one(v: Tensor, share: Tensor) -> Tensor:
    """Compute v + (1 - v) min(share, 1), the weight of an image in the curriculum: (N,), () -> (N,)."""
    return v + (1 - v) * share.clamp_max(1)
