"""Encoders by name, and how they run: channels last, in full or half precision, each process its share of a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.nets.branched import Branched, Unshared
from longtail.nets.conv4 import Conv4
from longtail.nets.pretrained import load_pretrained
from longtail.nets.resnet_cifar import ResNetCifar
from longtail.nets.sync import compute_shard
from longtail.nets.timm_backbone import (
    TIMM,
    build_backbone,
    compute_feature_dim,
    compute_input_config,
    pretrained_config,
    unknown_net_error,
)
from longtail.nets.tune import prepare_tuning
from longtail.nets.weights import AUTO, WAYS, find_weights

# the networks of this package; every other name is one of timm's
NETS: dict[str, Callable[..., Conv4 | ResNetCifar]] = {
    "conv4": Conv4,
    **{f"resnet{depth}": partial(ResNetCifar, depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
}


class Encoder(nn.Module):
    """A network without head: (N, 3, H, W) -> (N, d) or (K, N, d) float32; `half` runs its body in bfloat16.

    The body of a network that is `lightly_tuned` stays in evaluation mode: batch norm keeps its pretrained statistics.
    """

    half: bool  # type: ignore[assignment]  # hides nn.Module.half, which nothing here calls

    def __init__(self, body: nn.Module, half: bool, lightly_tuned: bool = False):
        super().__init__()
        self.body = body.to(memory_format=torch.channels_last)
        self.half, self.lightly_tuned = half, lightly_tuned
        self.train(self.training)

    def train(self, mode: bool = True) -> "Encoder":
        """Set training or evaluation mode, in which the body of a lightly tuned network always is; returns self."""
        super().train(mode)
        self.body.train(mode and not self.lightly_tuned)
        return self

    def forward(self, x: Tensor, branch: int | None = None) -> Tensor:
        """Compute the features of all branches, or of one branch only: (N, 3, H, W) -> (N, d)."""
        if x.dim() == 2:  # necks on frozen features are cheap: every process computes all rows, as it does for heads
            return self.compute(x, branch)
        return compute_shard(partial(self.compute, branch=branch), x)

    def compute(self, x: Tensor, branch: int | None) -> Tensor:
        """Compute the features of these rows in this process."""
        x = x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half):
            v = self.body(x) if branch is None else cast(Branched, self.body).forward_branch(branch, x)
        return v.float()

    def maps(self, x: Tensor) -> Tensor:
        """Compute the features of every pixel, which `forward` averages: (N, 3, H, W) -> (N, d, h, w).

        They are for training and `post_hoc`; every process computes all rows, without gradient. Raises LongtailError for a
        network that has no such features, such as a ViT.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        body: Any = self.body
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=self.half):
            found = body.maps(x) if hasattr(body, "maps") else body.forward_features(x)
        if found.dim() != 4:
            raise LongtailError(
                "this network has no features for each pixel; take a convolutional --net such as resnet50"
            )
        return found.float()


@dataclass(frozen=True)
class Net:
    """The recipe of a network: `encoder()` builds a new one, freshly initialized, with `feature_dim` features.

    `name` is a key of `NETS` or a model of timm. `size` is the side of the images in pixels. `weights` are those to begin
    with, as `find_weights` takes them; None or "none": random. `tune` is a kind of `--tune`, for a number of `classes`;
    None: all of the network trains. Raises LongtailError for an unknown name, for a size that the network does not take,
    and for a kind that it has nothing for.
    """

    name: str
    half: bool = False
    size: int | None = None
    weights: str | None = None
    tune: str | None = None
    classes: int = 2

    def __post_init__(self):
        if self.name not in NETS and not pretrained_config(self.name):
            raise unknown_net_error(self.name, list(NETS))
        if self.name in NETS and self.weights in (AUTO, TIMM):
            raise LongtailError(f"timm has no weights for {self.name}, a network of longtail; {WAYS}")
        _ = self.feature_dim  # raises for a size that the network does not take
        if self.tune:
            check_tuning(self.name, self.size, self.tune)

    @property
    def feature_dim(self) -> int:
        """Return the number of features d."""
        if self.name not in NETS:
            return compute_feature_dim(self.name, self.size)
        factory: Any = NETS[self.name]
        return getattr(factory, "func", factory).feature_dim

    def encoder(self) -> Encoder:
        """Build a complete, separate network: (N, 3, H, W) -> (N, d)."""
        return Encoder(self._build_body(), self.half, self.tune not in (None, "all"))

    def branched(self, branches: int, unshared: Unshared, slim: bool = False, leader: bool = False) -> Encoder:
        """Build K networks that share all but their last two stages, last stage or last block: (N, 3, H, W) -> (K, N, d).

        `slim` takes a quarter of the channels from the last two stages. With `leader`, the shared layers learn from the
        first network only. Raises LongtailError for a network of timm.
        """
        if self.name not in NETS:
            raise LongtailError(
                f"net '{self.name}' cannot be divided into trunk and branches; take {' or '.join(NETS)}"
            )
        return Encoder(Branched([self._build_body(slim) for _ in range(branches)], unshared, leader), self.half)

    def _build_body(self, slim: bool = False) -> Any:
        found = None if self.weights in (None, "none") else find_weights(self.name, self.weights)
        body: Any = NETS[self.name](slim=slim) if self.name in NETS else build_backbone(self.name, self.size)
        if found:
            load_pretrained(body, found.tensors, found.source, self.name)
        if self.tune:
            prepare_tuning(body, self.name, self.tune, self.classes)
        return body


@lru_cache
def check_tuning(name: str, size: int | None, kind: str) -> None:
    """Raise LongtailError for a network that is none of timm's, and for a kind of tuning that it has nothing for."""
    if name in NETS:
        raise LongtailError(f"tune {kind} is of networks of timm, and {name} is one of longtail; choose another --net")
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        prepare_tuning(build_backbone(name, size), name, kind, classes=2)


def get_input_config(name: str) -> dict[str, Any]:
    """Return `size`, `mean` and `std` of the images a network of timm was trained on; {} for `NETS`."""
    return {} if name in NETS else compute_input_config(name)
