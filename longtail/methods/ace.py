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
    learns from images of its classes alone: CE over all C outputs plus the sum of its squared logits of other classes, both
    means over its images. Its learning rate is that of expert 1 times r_k, the share of the images that are of its classes.
    Prediction: the logit of class c is the mean over its experts of z_kc |W_1|^2 / |W_k|^2.
    The authors' code could not be read; these formulas come from reading notes and a port, which agree. The authors choose
    the classes by hand. Here r_k multiplies the loss instead of the rate, so the weight decay keeps its full rate. Rare
    experts learn slowly where r_k is small.
    """

    cls: Heads
    target: Tensor
    rate: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, last stages on one trunk (ECL's tables have 4)", Range(1)] = 3,
    ):
        super().__init__(counts, net, experts, "last stage", leader=True)
        n = torch.tensor(counts)
        rank = n.argsort(stable=True, descending=True).argsort()
        target = rank >= (torch.arange(experts) * self.classes // experts).unsqueeze(1)
        self.register_buffer("target", target, persistent=False)  # (K, C)
        self.register_buffer("rate", (target * n).sum(1) / n.sum(), persistent=False)  # (K,)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        z, y = self.cls(self.encoders(batch.views[0])), batch.y
        outside = z.masked_fill(self.target.unsqueeze(1), 0).square().sum(-1)
        return {"ce": self.average(cross_entropy(z, y), y), "suppress": self.average(outside, y)}

    def average(self, loss: Tensor, y: Tensor) -> Tensor:
        """Compute the mean loss of each expert over images of its classes, times its rate, summed: (K, N), (N,) -> ()."""
        own = self.target[:, y].to(loss.dtype)
        return ((own * loss).sum(1) / own.sum(1).clamp_min(1) * self.rate).sum()

    def logits(self, x: Tensor) -> Tensor:
        z, size = super().logits(x), self.cls.weight.square().sum((1, 2))
        share = self.target * (size[0] / size).unsqueeze(1) / self.target.sum(0)  # (K, C)
        return len(z) * share.unsqueeze(1) * z  # the mean over K is the prediction
