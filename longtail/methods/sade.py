"""Self-supervised Aggregation of Diverse Experts (Zhang et al., NeurIPS 2022): an expert each for three class distributions."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from longtail.data import Batch
from longtail.losses import balanced_cross_entropy
from longtail.methods.base import BranchedClassifier
from longtail.nets import CosineHeads, Net
from longtail.validation import Range

SMALLEST = 0.05  # aggregation stops once an expert weighs less (Sec. 4.2)


class Aggregation(nn.Module):
    """Weights of the experts, equal at first: scales logits (K, N, C) so that their mean over K is the weighted sum."""

    def __init__(self, experts: int):
        super().__init__()
        self.register_buffer("scores", torch.zeros(experts))

    def forward(self, z: Tensor) -> Tensor:
        return len(z) * self.scores.softmax(0).view(-1, 1, 1) * z


class SADE(BranchedClassifier):
    """Experts 1, 2 and 3 for test classes as in training, equally frequent, and the other way round; sum of their losses.

    With `aggregate` the experts are weighted by how stable the weighted prediction is over two views of the *test* images,
    without their labels (Sec. 4.2); off by default, since in this package the test images choose nothing. The weights are
    kept in the model and in `results.json`; an expert's logits are scaled by its own, which changes its ECE, not its choice.
    The views are the family's "moco" (the authors crop CIFAR with a margin instead, and blur a fifth), the learning rate
    follows the recipe.
    """

    inference = ("encoders", "cls", "aggregation")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        tau: Annotated[float, "lambda, how far expert 3 is pushed to rare classes (Eq. 3)", Range(0)] = 2.0,
        scale: Annotated[float, "s, of the cosines (authors' code)", Range(1e-3)] = 30.0,
        aggregate: Annotated[bool, "weight the experts on unlabelled test images (Eq. 4)"] = False,
        aggregate_epochs: Annotated[int, "passes over the test images (authors' code)", Range(1)] = 5,
        aggregate_lr: Annotated[float, "learning rate of the weights (authors' code)", Range(1e-6)] = 0.1,
    ):
        super().__init__(counts, net, 3, "two stages", slim=True, heads=partial(CosineHeads, scale=scale))
        self.epochs, self.rate = aggregate_epochs, aggregate_lr
        self.test_time_views = ("moco", "moco") if aggregate else ()
        self.aggregation = Aggregation(3)
        p = self.log_prior
        shifts = torch.stack([torch.zeros_like(p), p, p - tau * reversed_prior(p)])  # Eq. 1-3
        self.register_buffer("shifts", shifts.unsqueeze(1), persistent=False)

    def logits(self, x: Tensor) -> Tensor:
        return self.aggregation(super().logits(x))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        z = self.cls(self.encoders(batch.views[0]))
        loss = balanced_cross_entropy(z, batch.y, self.shifts).mean(-1)
        return dict(zip(("as_trained", "uniform", "reversed"), loss, strict=True))

    def adapt(self, images: Callable[[int], Iterator[list[Tensor]]]) -> dict:
        """Eq. 4: the weights under which two views of an image are predicted alike; stops before an expert is dropped."""
        scores = nn.Parameter(self.aggregation.scores.clone())
        optimizer = torch.optim.SGD(
            [scores], self.rate, momentum=0.9, weight_decay=5e-4, nesterov=True
        )  # authors' code
        for done in range(1, self.epochs + 1):
            for views in images(done):
                with torch.no_grad():
                    z = [self.cls(self.encoders(view)) for view in views]
                p, q = (torch.einsum("k,knc->nc", scores.softmax(0), one).softmax(-1) for one in z)
                optimizer.zero_grad()
                (-cosine_similarity(p, q).mean()).backward()
                optimizer.step()
            if scores.softmax(0).min() < SMALLEST:
                break
        self.aggregation.scores.copy_(scores.detach())
        return {"expert_weights": scores.softmax(0).tolist(), "passes": done}


def reversed_prior(log_prior: Tensor) -> Tensor:
    """The prior of the most frequent class given to the rarest, and so on: (C,) -> (C,)."""
    order = log_prior.argsort(stable=True)
    return torch.empty_like(log_prior).scatter(0, order, log_prior[order].flip(0))
