"""RoutIng Diverse Experts (Wang et al., ICLR 2021): experts that are told to differ, and a router that asks only some."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from longtail.data import Batch
from longtail.losses import cross_entropy, divergence_from_mean, effective_number_weights, ldam_margins, subtract_margin
from longtail.methods.base import BranchedClassifier, Stage
from longtail.nets import CosineHeads, Heads, Net
from longtail.validation import Range


class Router(nn.Module):
    """Whether each expert but the last asks for help: features (K, N, d), logits so far (K, N, C) -> scores (K - 1, N)."""

    def __init__(self, experts: int, width: int, top: int):
        super().__init__()
        self.top, self.hidden, self.ask = top, Heads(experts - 1, width, 16), nn.Linear(16 + top, 1)

    def forward(self, v: Tensor, so_far: Tensor) -> Tensor:
        hidden = self.hidden(normalize(v[:-1], dim=-1)).relu()
        return self.ask(torch.cat([so_far[:-1].topk(self.top, dim=-1).values, hidden], -1)).squeeze(-1)


class RIDE(BranchedClassifier):
    """LDAM-DRW for each expert, less its divergence from the ensemble; then the router alone. Sums over the experts.

    The results are those of all experts together; `route` gives what the router would, and `results.json` has under
    "test_time" how many experts it asks on average and how often its choice is that of all. The experts' learning rate and
    weight decay follow the recipe, as do all batches (512 for the authors' router), and the router's epochs are the last of
    the recipe's, not added to them. The distillation from a larger RIDE, an option of the paper, is left out.
    """

    inference = ("encoders", "cls", "router")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, sharing all but their last two stages", Range(2)] = 3,
        diversity: Annotated[float, "lambda, weight of the divergence (authors' code, CIFAR)", Range(0)] = 0.2,
        gamma: Annotated[
            float, "how far a class's temperature follows its size (authors' code)", Range(0, 0.99)
        ] = 0.05,
        margin: Annotated[float, "margin of the rarest class (Cao et al. 2019, LDAM)", Range(0)] = 0.5,
        scale: Annotated[float, "s, of the cosines (Cao et al. 2019)", Range(1e-3)] = 30.0,
        defer: Annotated[float, "share of training before weights and temperatures: 160 of 200", Range(0, 1)] = 0.8,
        routing: Annotated[float, "epochs of the router over those of the experts: 5 of 200", Range(1e-3, 1)] = 0.025,
        asks: Annotated[float, "weight of an image that needs help (authors' code, CIFAR)", Range(1e-3)] = 100.0,
        top: Annotated[int, "largest logits that the router sees (authors' code, CIFAR)", Range(1)] = 30,
    ):
        super().__init__(counts, net, experts, "two stages", slim=True, heads=partial(CosineHeads, scale=scale))
        self.diversity, self.defer, self.routing, self.asks = diversity, defer, routing, asks
        self.router = Router(experts, self.encoders.body.feature_dim, min(top, self.classes))
        temperature = 1 - gamma + gamma * self.classes * self.log_prior.exp()
        self.register_buffer("margin", scale * ldam_margins(self.log_prior, margin), persistent=False)
        self.register_buffer("weight", effective_number_weights(counts, 0.9999), persistent=False)
        self.register_buffer("temperature", temperature / temperature.max(), persistent=False)
        self.test_time_views = ("plain",)

    def stages(self) -> list[Stage]:
        return [
            Stage("experts", trains=("encoders", "cls")),
            # the authors' numbers
            Stage("router", self.routing, ("balanced",), trains=("router",), lr=0.01, weight_decay=5e-4),
        ]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        v = self.encoders(batch.views[0])
        z, y = self.cls(v), batch.y
        if self.stage == "router":
            return {"router": self.learn_to_ask(v, z, y)}
        early = batch.progress < self.defer
        w = torch.where(early, 1.0, self.weight[y])
        ldam = (w * cross_entropy(subtract_margin(z, y, self.margin), y)).sum() / w.sum()
        apart = divergence_from_mean(z, torch.where(early, 1.0, self.temperature))
        return {"ldam": ldam, "diversity": -self.diversity * apart.mean(-1).sum()}

    def learn_to_ask(self, v: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """Help is needed where the experts so far are wrong and with some of the next they are right."""
        mean = so_far(z)
        right = mean.argmax(-1) == y  # (K, N)
        later = torch.stack([right[k + 1 :].any(0) for k in range(len(z) - 1)])
        return binary_cross_entropy_with_logits(
            self.router(v, mean), (~right[:-1] & later).float(), pos_weight=z.new_full((), self.asks)
        )

    def route(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean logits of the experts that the router asks, and how many they are: (N, 3, H, W) -> (N, C), (N,)."""
        v = self.encoders(x)
        mean = so_far(self.cls(v))
        extra = (self.router(v, mean) > 0).cumprod(0).sum(0)  # the next is asked only if all before it ask
        return mean.gather(0, extra.view(1, -1, 1).expand(1, -1, self.classes)).squeeze(0), 1 + extra

    @torch.no_grad()
    def adapt(self, images: Callable[[int], Iterator[list[Tensor]]]) -> dict:
        """Learns nothing: measures what the router saves, on images without labels."""
        used, same = [], []
        for (x,) in images(0):
            z, experts = self.route(x)
            used.append(experts)
            same.append(z.argmax(-1) == self.logits(x).mean(0).argmax(-1))
        return {
            "experts_asked": torch.cat(used).float().mean().item(),
            "same_choice_percent": 100 * torch.cat(same).float().mean().item(),
        }


def so_far(z: Tensor) -> Tensor:
    """Mean logits of the first, of the first two, ..., of all experts: (K, N, C) -> (K, N, C)."""
    return z.cumsum(0) / torch.arange(1, len(z) + 1, device=z.device).view(-1, 1, 1)
