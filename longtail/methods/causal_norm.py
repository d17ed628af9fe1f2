"""Causal norm: de-confounded training and the total direct effect (Tang et al., NeurIPS 2020)."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.errors import LongtailError
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class CausalHeads(nn.Module):
    """K multi-head normalized classifiers: tau / M times the sum over M heads of x / |x| . w / (|w| + gamma), no bias (Eq. 7).

    A head sees its slice x of the features, d / M wide. `compute_effect` first subtracts alpha cos(x, m) m / |m| from
    x / |x|, where m is the mean feature of training (Eq. 8).
    """

    mean: Tensor

    def __init__(self, experts: int, inputs: int, outputs: int, parts: int, tau: float, gamma: float, alpha: float):
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs).uniform_(-bound, bound))
        self.parts, self.tau, self.gamma, self.alpha = parts, tau, gamma, alpha
        self.register_buffer("mean", torch.zeros(experts, 1, inputs))

    def forward(self, v: Tensor) -> Tensor:
        return self.score(normalize(self.split(v), dim=-1))

    def compute_effect(self, v: Tensor) -> Tensor:
        """Compute the total direct effect (Eq. 8): (K, N, d) -> (K, N, C)."""
        x, mean = (normalize(self.split(u), dim=-1) for u in (v, self.mean))
        return self.score(x - self.alpha * (x * mean).sum(-1, keepdim=True) * mean)

    def score(self, x: Tensor) -> Tensor:
        """Compute the logits of normalized slices (Eq. 7): (K, N, M, d / M) -> (K, N, C)."""
        w = self.split(self.weight)
        w = w / (w.norm(dim=-1, keepdim=True) + self.gamma)
        return self.tau / self.parts * x.flatten(-2) @ w.flatten(-2).transpose(1, 2)

    def split(self, u: Tensor) -> Tensor:
        """Slice features for the M heads: (K, N, d) -> (K, N, M, d / M)."""
        return u.unflatten(-1, (self.parts, -1))

    @torch.no_grad()
    def update(self, v: Tensor, momentum: float) -> None:
        """Add the mean of a batch to the moving sum of features, (K, N, d); only its direction matters."""
        self.mean.mul_(momentum).add_(v.mean(1, keepdim=True))


class CausalNorm(Classifier):
    """Cross-entropy of multi-head normalized logits; the test subtracts the direction of the mean feature of training.

    That direction leans to the frequent classes, so without it their advantage shrinks. The mean's momentum is constant, as
    in the authors' code for CIFAR. For other data their momentum rises to 1 while the learning rate falls below 0.02.
    """

    cls: CausalHeads

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        parts: Annotated[int, "M, heads that share the features (Tang et al. 2020, Eq. 5)", Range(1)] = 2,
        tau: Annotated[float, "scale of the logits (Tang et al. 2020, Eq. 7)", Range(1e-3)] = 16.0,
        gamma: Annotated[float, "added to the norm of the weights (Tang et al. 2020, Eq. 7)", Range(0)] = 1 / 32,
        alpha: Annotated[
            float, "strength of the subtraction (Eq. 8; authors: CIFAR-10 1, CIFAR-100 1.5, ImageNet-LT 3)", Range(0)
        ] = 1.0,
        mean_momentum: Annotated[
            float, "momentum of the mean feature, that of SGD (Tang et al. 2020, Assumption 1)", Range(0, 1)
        ] = 0.9,
    ):
        if net.feature_dim % parts:
            raise LongtailError(f"parts is {parts}; it must divide the {net.feature_dim} features of {net.name}")
        heads = partial(CausalHeads, parts=parts, tau=tau, gamma=gamma, alpha=alpha)
        super().__init__(counts, net, experts, heads)
        self.mean_momentum = mean_momentum

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        v = self.features(batch.views[0])
        self.cls.update(v, self.mean_momentum)
        return {"ce": cross_entropy(self.cls(v), batch.y).mean()}

    def logits(self, x: Tensor) -> Tensor:
        return self.cls.compute_effect(self.features(x))
