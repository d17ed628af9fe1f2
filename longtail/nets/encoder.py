"""Encoders by name, and how they are run: channels last, in full or half precision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from longtail.errors import unknown
from longtail.nets.conv4 import Conv4
from longtail.nets.resnet_cifar import ResNetCifar

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
    """What a method builds its networks from: `encoder()` is a new one, freshly initialised, with `width` features."""

    name: str
    half: bool = False

    def __post_init__(self):
        if self.name not in NETS:
            raise unknown("net", self.name, NETS)

    @property
    def width(self) -> int:
        """Number of features d."""
        factory = NETS[self.name]
        return getattr(factory, "func", factory).width

    def encoder(self) -> Encoder:
        """A complete separate network."""
        return Encoder(NETS[self.name](), self.half)
