"""ACE: ally complementary experts (Cai et al., ICCV 2021)."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import BranchedClassifier
from longtail.nets import Heads, Net
from longtail.validation import Range


class ACE(BranchedClassifier):
    """K last stages on one trunk, each for fewer and rarer classes; the first one alone trains the trunk.

    Expert k targets the classes from rank floor((k - 1) C / K) on, by falling frequency, so expert 1 targets all. It
    learns from images of its classes alone: their mean CE over all C outputs, plus the norm of all their logits of other
    classes, divided by the number of those classes. Its learning rate is that of expert 1 times r_k, the share of the
    images that are of its classes. Prediction: the logit of class c is the mean over its experts of z_kc s_1 / s_k, where
    s_k is the mean length of the weight vectors of the expert's classes.

    Formulas are those of the authors' code (a copy, winterxx/ACE on GitHub; the paper names jrcai/ACE). Reports of the
    paper suppress by the sum of squared logits instead. Departures. The authors have 3 experts. Theirs take the rarest
    classes that hold 30% and 3% of the images of CIFAR-100-LT at ratio 100, from rank 25 and 68; at ratio 50 and on large
    sets it is 40% and 10%. Their heads learn a scale for each class. They use mixup on most sets, and 280 epochs on CIFAR.
    Here r_k multiplies the loss instead of the rate, so the weight decay keeps its full rate. Rare experts learn slowly
    where r_k is small.
    """

    cls: Heads
    target: Tensor
    rate: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, last stages on one trunk (authors' code; ECL's tables have 4)", Range(1)] = 3,
    ):
        super().__init__(counts, net, experts, "last stage", leader=True)
        n = torch.tensor(counts)
        rank = n.argsort(stable=True, descending=True).argsort()
        target = rank >= (torch.arange(experts) * self.classes // experts).unsqueeze(1)
        self.register_buffer("target", target, persistent=False)  # (K, C)
        self.register_buffer("rate", (target * n).sum(1) / n.sum(), persistent=False)  # (K,)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        z, y = self.cls(self.encoders(batch.views[0])), batch.y
        own = self.target[:, y].to(z.dtype)  # (K, N), images of each expert's classes
        ce = (own * cross_entropy(z, y)).sum(1) / own.sum(1).clamp_min(1)
        outside = own.unsqueeze(-1) * z.masked_fill(self.target.unsqueeze(1), 0)
        size = torch.linalg.vector_norm(outside, dim=(1, 2)) / (~self.target).sum(1).clamp_min(1)
        return {"ce": (self.rate * ce).sum(), "suppress": (self.rate * size).sum()}

    def logits(self, x: Tensor) -> Tensor:
        z, length = super().logits(x), self.cls.weight.norm(dim=-1)  # (K, N, C), (K, C)
        size = (self.target * length).sum(1) / self.target.sum(1)
        share = self.target * (size[0] / size).unsqueeze(1) / self.target.sum(0)  # (K, C)
        return len(z) * share.unsqueeze(1) * z  # the mean over K is the prediction
