"""Self-supervised Aggregation of Diverse Experts (Zhang et al., NeurIPS 2022): one expert for each of three class priors."""

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

SMALLEST = 0.05  # aggregation stops when the weight of an expert falls below (Sec. 4.2)


class Aggregation(nn.Module):
    """Weights of the experts, equal at first; they scale logits (K, N, C) so that the mean over K is the weighted sum."""

    scores: Tensor

    def __init__(self, experts: int):
        super().__init__()
        self.register_buffer("scores", torch.zeros(experts))

    def forward(self, z: Tensor) -> Tensor:
        return len(z) * self.scores.softmax(0).view(-1, 1, 1) * z


class SADE(BranchedClassifier):
    """Three experts for test images whose class prior is that of training, uniform, or reversed; the sum of their losses.

    With `aggregate`, weights of the experts are learned on the *test* images without labels: two views of an image should
    get the same prediction (Sec. 4.2). That is off by default, because test images choose nothing in this package. The
    weights are in the model and in `results.json`. They scale the logits of an expert, which changes its ECE but no
    prediction. The views are the "moco" transform; the authors crop CIFAR with a margin, and blur a fifth of the images.
    The learning rate follows the recipe.
    """

    shifts: Tensor
    aggregation: Aggregation

    inference = ("encoders", "cls", "aggregation")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        tau: Annotated[float, "lambda, how strongly expert 3 favors rare classes (Eq. 3)", Range(0)] = 2.0,
        scale: Annotated[float, "s, scale of the cosines (authors' code)", Range(1e-3)] = 30.0,
        aggregate: Annotated[bool, "weight the experts on unlabeled test images (Eq. 4)"] = False,
        aggregate_epochs: Annotated[int, "passes over the test images (authors' code)", Range(1)] = 5,
        aggregate_lr: Annotated[float, "learning rate of the weights (authors' code)", Range(1e-6)] = 0.1,
    ):
        super().__init__(counts, net, 3, "two stages", slim=True, heads=partial(CosineHeads, scale=scale))
        self.epochs, self.rate = aggregate_epochs, aggregate_lr
        self.test_time_views = ("moco", "moco") if aggregate else ()
        self.aggregation = Aggregation(3)
        p = self.log_prior
        shifts = torch.stack([torch.zeros_like(p), p, p - tau * reverse_prior(p)])  # Eq. 1-3
        self.register_buffer("shifts", shifts.unsqueeze(1), persistent=False)

    def logits(self, x: Tensor) -> Tensor:
        return self.aggregation(super().logits(x))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        z = self.cls(self.encoders(batch.views[0]))
        loss = balanced_cross_entropy(z, batch.y, self.shifts).mean(-1)
        return dict(zip(("as_trained", "uniform", "reversed"), loss, strict=True))

    def adapt(self, images: Callable[[int], Iterator[list[Tensor]]]) -> dict:
        """Learn the weights for which two views of an image get the same prediction (Eq. 4); stop once one is below SMALLEST."""
        scores = nn.Parameter(self.aggregation.scores.clone())
        # momentum and weight decay of the authors' code
        optimizer = torch.optim.SGD([scores], self.rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
        for done in range(1, self.epochs + 1):
            for views in images(done):
                with torch.no_grad():
                    z = [self.cls(self.encoders(view)) for view in views]
                p, q = (torch.einsum("k,knc->nc", scores.softmax(0), view).softmax(-1) for view in z)
                optimizer.zero_grad()
                (-cosine_similarity(p, q).mean()).backward()
                optimizer.step()
            if scores.softmax(0).min() < SMALLEST:
                break
        self.aggregation.scores.copy_(scores.detach())
        return {"expert_weights": scores.softmax(0).tolist(), "passes": done}


def reverse_prior(log_prior: Tensor) -> Tensor:
    """Give the log prior of the most frequent class to the rarest, and so on in order: (C,) -> (C,)."""
    order = log_prior.argsort(stable=True)
    return torch.empty_like(log_prior).scatter(0, order, log_prior[order].flip(0))
