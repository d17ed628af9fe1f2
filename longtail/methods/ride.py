"""RoutIng Diverse Experts (Wang et al., ICLR 2021): experts trained to differ, and a router that uses only some of them."""

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
    """Scores of each expert but the last for using one more: features (K, N, d), mean logits (K, N, C) -> (K - 1, N).

    The mean logits of expert k are those of experts 1 to k.
    """

    def __init__(self, experts: int, width: int, top: int):
        super().__init__()
        self.top, self.hidden, self.ask = top, Heads(experts - 1, width, 16), nn.Linear(16 + top, 1)

    def forward(self, v: Tensor, mean: Tensor) -> Tensor:
        hidden = self.hidden(normalize(v[:-1], dim=-1)).relu()
        return self.ask(torch.cat([mean[:-1].topk(self.top, dim=-1).values, hidden], -1)).squeeze(-1)


class RIDE(BranchedClassifier):
    """LDAM-DRW for each expert minus its divergence from the ensemble, summed over experts; then a router learns alone.

    The results are those of all experts. `route` returns the router's logits; `results.json` says under "test_time" how
    many experts the router uses on average, and how often its prediction is that of all experts. The experts' learning
    rate and weight decay follow the recipe. So do all batch sizes (512 for the authors' router). The router trains in the
    last epochs of the recipe, not in additional ones. Distillation from a larger RIDE, an option of the paper,
    is not included.
    """

    margin: Tensor
    weight: Tensor
    temperature: Tensor

    inference = ("encoders", "cls", "router")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, experts that share all but their last two stages", Range(2)] = 3,
        diversity: Annotated[float, "lambda, weight of the divergence (authors' code, CIFAR)", Range(0)] = 0.2,
        gamma: Annotated[
            float, "how strongly a class's temperature follows its count (authors' code)", Range(0, 0.99)
        ] = 0.05,
        margin: Annotated[float, "margin of the rarest class (Cao et al. 2019, LDAM)", Range(0)] = 0.5,
        scale: Annotated[float, "s, scale of the cosines (Cao et al. 2019)", Range(1e-3)] = 30.0,
        defer: Annotated[float, "share of training before weights and temperatures: 160 of 200", Range(0, 1)] = 0.8,
        routing: Annotated[float, "epochs of the router over those of the experts: 5 of 200", Range(1e-3, 1)] = 0.025,
        asks: Annotated[
            float, "weight of images that need one more expert (authors' code, CIFAR)", Range(1e-3)
        ] = 100.0,
        top: Annotated[int, "largest logits that the router sees (authors' code, CIFAR)", Range(1)] = 30,
    ):
        super().__init__(counts, net, experts, "two stages", slim=True, heads=partial(CosineHeads, scale=scale))
        self.diversity, self.defer, self.routing, self.asks = diversity, defer, routing, asks
        self.router = Router(experts, self.feature_dim, min(top, self.classes))
        temperature = 1 - gamma + gamma * self.classes * self.log_prior.exp()
        self.register_buffer("margin", scale * ldam_margins(self.log_prior, margin), persistent=False)
        self.register_buffer("weight", effective_number_weights(counts, 0.9999), persistent=False)
        self.register_buffer("temperature", temperature / temperature.max(), persistent=False)
        self.test_time_views = ("plain",)

    def stages(self) -> list[Stage]:
        return [
            Stage("experts", trains=("encoders", "cls")),
            # rates of the authors' code
            Stage("router", self.routing, ("balanced",), trains=("router",), lr=0.01, weight_decay=5e-4),
        ]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        v = self.encoders(batch.views[0])
        z, y = self.cls(v), batch.y
        if self.stage == "router":
            return {"router": self.compute_router_loss(v, z, y)}
        # weights and temperatures begin together (Cao et al. 2019, DRW)
        early = batch.progress < self.defer
        return {"ldam": self.compute_ldam(z, y, early), "diversity": self.compute_diversity(z, early)}

    def compute_ldam(self, z: Tensor, y: Tensor, early: Tensor) -> Tensor:
        """Compute LDAM of all experts, weighted by class unless it is early: (K, N, C), (N,), () -> ()."""
        w = torch.where(early, 1.0, self.weight[y])
        return (w * cross_entropy(subtract_margin(z, y, self.margin), y)).sum() / w.sum()

    def compute_diversity(self, z: Tensor, early: Tensor) -> Tensor:
        """Compute minus the weighted divergence of the experts from their mean: (K, N, C), () -> ()."""
        divergence = divergence_from_mean(z, torch.where(early, 1.0, self.temperature))
        return -self.diversity * divergence.mean(-1).sum()

    def compute_router_loss(self, v: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """Compute the router's loss, (K, N, d), (K, N, C), (N,) -> ().

        One more expert is needed where the mean of the first k is wrong and the mean of more experts is right.
        """
        mean = average_first_experts(z)
        right = mean.argmax(-1) == y  # (K, N)
        later = torch.stack([right[k + 1 :].any(0) for k in range(len(z) - 1)])
        return binary_cross_entropy_with_logits(
            self.router(v, mean), (~right[:-1] & later).float(), pos_weight=z.new_full((), self.asks)
        )

    def route(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the mean logits of the experts that the router uses, and their number: (N, 3, H, W) -> (N, C), (N,)."""
        v = self.encoders(x)
        mean = average_first_experts(self.cls(v))
        extra = (self.router(v, mean) > 0).cumprod(0).sum(0)  # an expert is used only if all before it ask for more
        return mean.gather(0, extra.view(1, -1, 1).expand(1, -1, self.classes)).squeeze(0), 1 + extra

    @torch.no_grad()
    def adapt(self, images: Callable[[int], Iterator[list[Tensor]]]) -> dict:
        """Measure the router on images without labels; nothing is learned."""
        used, same = [], []
        for (x,) in images(0):
            z, experts = self.route(x)
            used.append(experts)
            same.append(z.argmax(-1) == self.logits(x).mean(0).argmax(-1))
        return {
            "experts_asked": torch.cat(used).float().mean().item(),
            "same_choice_percent": 100 * torch.cat(same).float().mean().item(),
        }


def average_first_experts(z: Tensor) -> Tensor:
    """Compute the mean logits of the first expert, the first two, ..., all experts: (K, N, C) -> (K, N, C)."""
    return z.cumsum(0) / torch.arange(1, len(z) + 1, device=z.device).view(-1, 1, 1)
