"""Encoders by name, and how they are run: channels last, in full or half precision."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError, unknown
from longtail.nets.branched import Branched
from longtail.nets.conv4 import Conv4
from longtail.nets.joint import shared
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

    def forward(self, x: Tensor, branch: int | None = None) -> Tensor:
        """All features, or those of one branch only: (N, d)."""
        return shared(partial(self.compute, branch=branch), x)

    def compute(self, x: Tensor, branch: int | None) -> Tensor:
        """What `forward` gives, of these rows alone."""
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.half):
            return (self.body(x) if branch is None else self.body.one(branch, x)).float()


@dataclass(frozen=True)
class Net:
    """What a method builds its networks from: `encoder()` is a new one, freshly initialised, with `width` features."""

    name: str
    half: bool = False

    def __post_init__(self):
        if self.name not in NETS:
            raise unknown("net", self.name, NETS)

    @property
    def kind(self) -> type[nn.Module]:
        """The class of its body."""
        return getattr(NETS[self.name], "func", NETS[self.name])

    @property
    def width(self) -> int:
        """Number of features d."""
        return self.kind.width

    def encoder(self) -> Encoder:
        """A complete separate network."""
        return Encoder(NETS[self.name](), self.half)

    def branched(self, branches: int, own: Literal["two stages", "last block"], slim: bool = False) -> Encoder:
        """K networks that share all but their last two stages, or their last block: (N, 3, H, W) -> (K, N, d).

        `slim` takes a quarter of the channels from what may be their own. Raises LongtailError for a net that cannot be divided.
        """
        if not hasattr(self.kind, "stages_of_blocks"):
            able = [name for name in NETS if hasattr(Net(name).kind, "stages_of_blocks")]
            raise LongtailError(
                f"net '{self.name}' cannot be divided into trunk and branches; take {' or '.join(able)}"
            )
        return Encoder(Branched([NETS[self.name](slim=slim) for _ in range(branches)], own), self.half)
