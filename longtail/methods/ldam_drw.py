"""LDAM-DRW: label-distribution-aware margins with deferred re-weighting (Cao et al., NeurIPS 2019)."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy, effective_number_weights, ldam_margins, subtract_margin, weighted_mean
from longtail.methods.base import Classifier
from longtail.methods.options import ExpertCount
from longtail.nets import CosineHeads, Net
from longtail.validation import Range


class LDAM(Classifier):
    """Cross-entropy of scaled cosines with a margin that grows as n^(-1/4) (Eq. 13), and class weights late in training.

    The learning rate follows the recipe's cosine. In the paper it falls in steps, and the weights begin at one of them.
    """

    margin: Tensor
    weight: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        margin: Annotated[float, "margin of the rarest class, as a cosine (Cao et al. 2019)", Range(0)] = 0.5,
        scale: Annotated[float, "s, scale of the cosines (Cao et al. 2019)", Range(1e-3)] = 30.0,
        defer: Annotated[float, "share of training before the weights: epoch 160 of 200", Range(0, 1)] = 0.8,
        beta: Annotated[float, "beta of the effective number in the weights (authors' code)", Range(0, 1)] = 0.9999,
    ):
        super().__init__(counts, net, experts, partial(CosineHeads, scale=scale))
        self.defer = defer
        self.register_buffer("margin", scale * ldam_margins(self.log_prior, margin), persistent=False)
        self.register_buffer("weight", effective_number_weights(counts, beta), persistent=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        y = batch.y
        loss = cross_entropy(subtract_margin(self.logits(batch.views[0]), y, self.margin), y)
        w = torch.where(batch.progress < self.defer, 1.0, self.weight[y])
        return {"ldam": weighted_mean(loss, w).mean()}  # divided by the weights of the batch, as in the authors' code
