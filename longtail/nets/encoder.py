"""Encoders by name, and how they are run: channels last, in full or half precision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.nets.branched import Branched
from longtail.nets.conv4 import Conv4
from longtail.nets.pretrained import load_pretrained, load_weights_file
from longtail.nets.resnet_cifar import ResNetCifar
from longtail.nets.sync import compute_shard
from longtail.nets.timm_backbone import TIMM, build_backbone, compute_feature_dim, pretrained_config, unknown_net_error

NETS: dict[str, Callable[[], nn.Module]] = {
    "conv4": Conv4,
    **{f"resnet{depth}": partial(ResNetCifar, depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
}


class Encoder(nn.Module):
    """(N, 3, H, W) -> (N, d) float32 features, whatever the precision inside; `half` runs the body in bfloat16."""

    def __init__(self, body: nn.Module, half: bool):
        super().__init__()
        self.body = body.to(memory_format=torch.channels_last)
        self.half = half

    def forward(self, x: Tensor, branch: int | None = None) -> Tensor:
        """All features, or those of one branch only: (N, d)."""
        return compute_shard(partial(self.compute, branch=branch), x)

    def compute(self, x: Tensor, branch: int | None) -> Tensor:
        """What `forward` gives, of these rows alone."""
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half):
            return (self.body(x) if branch is None else self.body.one(branch, x)).float()


@dataclass(frozen=True)
class Net:
    """What a method builds its networks from: `encoder()` is a new one, freshly initialized, with `width` features.

    A name in `NETS` is ours, any other is timm's. `size` is the side of the images, `weights` a file to begin with, or
    "timm". Raises LongtailError for an unknown name, and for a size that the network does not take.
    """

    name: str
    half: bool = False
    size: int | None = None
    weights: str | None = None

    def __post_init__(self):
        if self.name not in NETS and not pretrained_config(self.name):
            raise unknown_net_error(self.name, list(NETS))
        if self.name in NETS and self.weights == TIMM:
            raise LongtailError(f"timm has no weights for {self.name}, which is ours; --weights FILE takes a file")
        _ = self.feature_dim  # tries the size

    @property
    def kind(self) -> type[nn.Module] | None:
        """The class of its body, if it is one of ours."""
        factory = NETS.get(self.name)
        return getattr(factory, "func", factory)

    @property
    def feature_dim(self) -> int:
        """Number of features d."""
        if self.name not in NETS:
            return compute_feature_dim(self.name, self.size)
        return self.kind.feature_dim

    def encoder(self) -> Encoder:
        """A complete separate network."""
        if self.name not in NETS:
            return Encoder(build_backbone(self.name, self.size, self.weights), self.half)
        return Encoder(self.body(), self.half)

    def body(self, **how: bool) -> nn.Module:
        """One of our networks, with its weights if a file is named."""
        body = NETS[self.name](**how)
        if self.weights:
            load_pretrained(body, load_weights_file(self.weights), self.weights, self.name)
        return body

    def branched(self, branches: int, unshared: Literal["two stages", "last block"], slim: bool = False) -> Encoder:
        """K networks that share all but their last two stages, or their last block: (N, 3, H, W) -> (K, N, d).

        `slim` takes a quarter of the channels from what may be their own. Raises LongtailError for a net that cannot be divided.
        """
        if not hasattr(self.kind, "stages_of_blocks"):
            able = [name for name in NETS if hasattr(Net(name).kind, "stages_of_blocks")]
            raise LongtailError(
                f"net '{self.name}' cannot be divided into trunk and branches; take {' or '.join(able)}"
            )
        return Encoder(Branched([self.body(slim=slim) for _ in range(branches)], unshared), self.half)


def get_input_config(name: str) -> dict[str, object]:
    """For a network of timm the `size` of its images and their `mean` and `std`; nothing for ours."""
    config = None if name in NETS else pretrained_config(name)
    return {"size": config["input_size"][-1], "mean": config["mean"], "std": config["std"]} if config else {}
