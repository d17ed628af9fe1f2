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
    """Features by mixup; then the head and a factor for each class on balanced batches, frequent classes smoothed more.

    In the second stage the features' weights are frozen but their batch norm follows the balanced batches (shift learning).
    Smoothing falls from head to tail along a sine, the paper's concave form. In the second stage the head learns at a
    fifth of the factors' learning rate, as the authors have it for CIFAR-100-LT (for CIFAR-10-LT half, and without shift
    learning at imbalance 100).
    """

    inference = ("encoders", "cls", "scale")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        alpha: Annotated[float, "of mixup's Beta(alpha, alpha) (Zhong et al. 2021)", Range(1e-3)] = 1.0,
        smooth_head: Annotated[
            float, "smoothing of the largest class (CIFAR-100-LT, imbalance 100)", Range(0, 1)
        ] = 0.4,
        smooth_tail: Annotated[
            float, "smoothing of the smallest class (CIFAR-100-LT, imbalance 100)", Range(0, 1)
        ] = 0.1,
        head_lr: Annotated[
            float, "learning rate of the head in the second stage, over that of the factors (authors' code)", Range(0)
        ] = 0.2,
        head_share: HeadShare = 0.05,  # 10 epochs after 200
    ):
        super().__init__(counts, net, experts)
        self.alpha, self.head_lr, self.head_share = alpha, head_lr, head_share
        self.scale = ClassScales(experts, self.classes)
        smoothing = label_aware_smoothing(counts, smooth_head, smooth_tail)
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


def label_aware_smoothing(counts: Sequence[int], head: float, tail: float) -> Tensor:
    """tail + (head - tail) sin(pi / 2 (n - n_min) / (n_max - n_min)) of each class (Zhong et al. 2021): -> (C,)."""
    n = torch.tensor(counts, dtype=torch.float32)
    return tail + (head - tail) * (math.pi / 2 * (n - n.min()) / (n.max() - n.min()).clamp_min(1)).sin()
