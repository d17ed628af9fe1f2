"""Long-tailed recognition via weight balancing (Alshammari et al., CVPR 2022)."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from longtail.data import Batch, Split
from longtail.losses import cross_entropy, effective_number_weights
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount, HeadShare
from longtail.nets import Heads, Net
from longtail.validation import Range


class WeightBalancing(Classifier):
    """Cross-entropy with a tuned weight decay; then the head alone, by class-balanced loss, weight decay and MaxNorm.

    The first stage takes the recipe's weight decay; the paper's for CIFAR-100-LT, 5e-3, is also that of the CIFAR recipe.
    MaxNorm caps the norm of each class's weights after every step, in the authors' code after every epoch. The cap lies
    between the smallest and the largest norm after the first stage. The class-balanced loss is that of Cui et al.
    The authors' code takes binary cross-entropy of the softmax, a mean over classes, so that the same weight decay is
    about C times as strong. Their frozen batch norm stays in training mode; here it is in evaluation mode.
    """

    cls: Heads
    weight: Tensor
    largest: Tensor  # the cap, (K, 1, 1); a buffer, so that a resumed run keeps it

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        head_decay: Annotated[float, "weight decay of the second stage (authors' code)", Range(0)] = 0.1,
        cap: Annotated[
            float, "MaxNorm: 0 caps at the smallest norm, 1 at the largest (authors' code)", Range(0, 1)
        ] = 0.1,
        beta: Annotated[
            float, "beta of the class-balanced loss (Cui et al. 2019; authors' code)", Range(0, 1)
        ] = 0.9999,
        head_share: HeadShare = 0.05,  # 10 of 210 epochs
    ):
        super().__init__(counts, net, experts)
        self.head_decay, self.cap, self.head_share = head_decay, cap, head_share
        self.register_buffer("weight", effective_number_weights(counts, beta), persistent=False)
        self.register_buffer("largest", torch.zeros(experts, 1, 1))

    def stages(self) -> list[Stage]:
        return [
            Stage("features", 1 - self.head_share),
            Stage("head", self.head_share, trains=("cls",), weight_decay=self.head_decay),
        ]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        super().begin_stage(stage, split)
        if stage.name == "head":
            low, high = self.compute_norms().aminmax(dim=1, keepdim=True)
            self.largest.copy_(low + self.cap * (high - low))

    @torch.no_grad()
    def compute_norms(self) -> Tensor:
        """Compute the norm of each class's weights, (K, C, 1)."""
        return self.cls.weight.norm(dim=-1, keepdim=True)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        loss = cross_entropy(self.logits(batch.views[0]), batch.y)
        if self.stage == "head":
            return {"balanced": (self.weight[batch.y] * loss).mean()}
        return {"ce": loss.mean()}

    @torch.no_grad()
    def after_step(self) -> None:
        if self.stage == "head":
            self.cls.weight.mul_((self.largest / self.compute_norms()).clamp_max(1))
