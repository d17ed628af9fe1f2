"""MiSLAS: mixup, then label-aware smoothing over shifted batch norm (Zhong et al., CVPR 2021)."""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from longtail.augment import mixup
from longtail.data import Batch
from longtail.losses import cross_entropy, smoothed_cross_entropy
from longtail.methods.base import Classifier, ParameterGroup, Stage
from longtail.methods.options import ExpertCount, HeadShare
from longtail.nets import ClassScales, Net
from longtail.validation import Range


class MiSLAS(Classifier):
    """Mixup; then the head and a factor for each class learn on balanced batches, with more label smoothing for frequent classes.

    In the second stage the encoder's weights are frozen, but its batch norm follows the balanced batches (shift learning).
    Smoothing falls from frequent to rare classes along a sine, the paper's concave form. The head learns at a fifth of
    the factors' learning rate, as in the authors' code for CIFAR-100-LT. For CIFAR-10-LT they take a half, and at
    imbalance 100 no shift learning.
    """

    smoothing: Tensor

    inference = ("encoders", "cls", "scale")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        alpha: Annotated[float, "parameter of mixup's Beta(alpha, alpha) (Zhong et al. 2021)", Range(1e-3)] = 1.0,
        smooth_head: Annotated[
            float, "smoothing of the largest class (CIFAR-100-LT, imbalance 100)", Range(0, 1)
        ] = 0.4,
        smooth_tail: Annotated[
            float, "smoothing of the smallest class (CIFAR-100-LT, imbalance 100)", Range(0, 1)
        ] = 0.1,
        head_lr: Annotated[
            float, "learning rate of the head over that of the factors, second stage (authors' code)", Range(0)
        ] = 0.2,
        head_share: HeadShare = 0.05,  # 10 of 210 epochs
    ):
        super().__init__(counts, net, experts)
        self.alpha, self.head_lr, self.head_share = alpha, head_lr, head_share
        self.scale = ClassScales(experts, self.classes)
        smoothing = compute_smoothing(counts, smooth_head, smooth_tail)
        self.register_buffer("smoothing", smoothing, persistent=False)

    def stages(self) -> list[Stage]:
        return [
            Stage("mixup", 1 - self.head_share, trains=("encoders", "cls")),
            Stage("smoothing", self.head_share, ("balanced",), ("cls", "scale"), updates_batch_norm=("encoders",)),
        ]

    def parameter_groups(self, stage: Stage) -> list[ParameterGroup] | None:
        if stage.name == "mixup":
            return None
        return [{"params": self.scale.parameters()}, {"params": self.cls.parameters(), "lr_scale": self.head_lr}]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.views[0], batch.y
        if self.stage == "smoothing":
            return {"las": smoothed_cross_entropy(self.logits(x), y, self.smoothing).mean()}
        x, other, share = mixup(x, y, self.alpha)
        z = self.logits(x)
        return {"mixup": (share * cross_entropy(z, y) + (1 - share) * cross_entropy(z, other)).mean()}

    def logits(self, x: Tensor) -> Tensor:
        return self.scale(super().logits(x))


def compute_smoothing(counts: Sequence[int], head: float, tail: float) -> Tensor:
    """Compute each class's label smoothing, tail + (head - tail) sin(pi / 2 (n - n_min) / (n_max - n_min)): -> (C,).

    Label-aware smoothing of Zhong et al. 2021, in the concave form.
    """
    n = torch.tensor(counts, dtype=torch.float32)
    return tail + (head - tail) * (math.pi / 2 * (n - n.min()) / (n.max() - n.min()).clamp_min(1)).sin()
