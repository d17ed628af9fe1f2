"""Encoders by name, and how they are run: channels last, in full or half precision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.nets.backbone import TIMM, backbone, configuration, nearest, width
from longtail.nets.conv4 import Conv4
from longtail.nets.resnet_cifar import ResNetCifar
from longtail.nets.weights import fit, read_weights

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

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half):
            return self.body(x).float()


@dataclass(frozen=True)
class Net:
    """What a method builds its networks from: `encoder()` is a new one, freshly initialised, with `width` features.

    A name in `NETS` is ours, any other is timm's. `size` is the side of the images, `weights` a file to begin with, or
    "timm". Raises LongtailError for an unknown name, and for a size that the network does not take.
    """

    name: str
    half: bool = False
    size: int | None = None
    weights: str | None = None

    def __post_init__(self):
        if self.name not in NETS and not configuration(self.name):
            raise nearest(self.name, list(NETS))
        if self.name in NETS and self.weights == TIMM:
            raise LongtailError(f"timm has no weights for {self.name}, which is ours; --weights FILE takes a file")
        _ = self.width  # tries the size

    @property
    def width(self) -> int:
        """Number of features d."""
        if self.name not in NETS:
            return width(self.name, self.size)
        factory = NETS[self.name]
        return getattr(factory, "func", factory).width

    def encoder(self) -> Encoder:
        """A complete separate network."""
        if self.name not in NETS:
            return Encoder(backbone(self.name, self.size, self.weights), self.half)
        body = NETS[self.name]()
        if self.weights:
            fit(body, read_weights(self.weights), self.weights, self.name)
        return Encoder(body, self.half)


def trained_as(name: str) -> dict[str, object]:
    """For a network of timm the `size` of its images and their `mean` and `std`; nothing for ours."""
    config = None if name in NETS else configuration(name)
    return {"size": config["input_size"][-1], "mean": config["mean"], "std": config["std"]} if config else {}
