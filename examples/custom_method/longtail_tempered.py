"""A complete plug-in: one method, declared in pyproject.toml, that `longtail train DATA tempered` then trains."""

from functools import partial
from typing import Annotated

import torch

from longtail.losses import cross_entropy
from longtail.methods import Classifier, Range, Stage


def draw(labels, counts, generator, power: float):
    """Draw N positions with replacement, a class being as likely as n^power: (N,) -> (N,)."""
    n = torch.tensor(counts, dtype=torch.float64).clamp_min(1)
    weight = n ** (power - 1)  # of each image, since a class has n of them
    return torch.multinomial(weight[labels], len(labels), replacement=True, generator=generator)


class Tempered(Classifier):
    """Cross-entropy on batches in which a class is as likely as n^power: 1 samples as the data are, 0 balances."""

    def __init__(self, counts, net, power: Annotated[float, "power of the class size", Range(0, 1)] = 0.5):
        super().__init__(counts, net)
        self.power = power

    def stages(self):
        return [Stage("train", samplers=(partial(draw, power=self.power),))]

    def forward(self, batch):
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}
