"""A frozen encoder, and necks: small layers on its features, one for each expert, in place of whole encoders."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from longtail.errors import LongtailError
from longtail.nets.branched import Unshared
from longtail.nets.encoder import Encoder, Net


class FrozenEncoder(nn.Module):
    """An encoder without gradients whose features are rounded to float16, as the cache keeps them: (N, 3, H, W) -> (N, d)."""

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x).half().float()


class Neck(nn.Sequential):
    """Standardized features through a linear layer, batch norm and ReLU: (N, d) -> (N, width)."""

    def __init__(self, inputs: int, width: int):
        layers = [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        super().__init__(nn.BatchNorm1d(inputs, affine=False), *layers)


class ParallelNecks(nn.Module):
    """K necks on the same features, as branches of a frozen trunk: (N, d) -> (K, N, width)."""

    def __init__(self, branches: int, inputs: int, width: int):
        super().__init__()
        self.feature_dim = width
        self.branches = nn.ModuleList(Neck(inputs, width) for _ in range(branches))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches])

    def forward_branch(self, branch: int, x: Tensor) -> Tensor:
        """Compute the output of one neck only: (N, d) -> (N, width)."""
        return self.branches[branch](x)


@dataclass(frozen=True)
class FrozenNet(Net):
    """The recipe of an expert on the frozen features of a network: a neck of `neck` features; 0 standardizes the features only.

    `build_trunk()` builds the frozen network itself.
    """

    neck: int = 0

    def __post_init__(self):
        super().__post_init__()
        _ = self.trunk_dim  # raises for a size that the network does not take

    @property
    def trunk_dim(self) -> int:
        """Return the number of features d of the frozen network."""
        return super().feature_dim

    @property
    def feature_dim(self) -> int:
        """Return the number of features of an expert."""
        return self.neck or self.trunk_dim

    def build_trunk(self) -> FrozenEncoder:
        """Build the frozen network: (N, 3, H, W) -> (N, d)."""
        return FrozenEncoder(super().encoder())

    def encoder(self) -> Encoder:
        """Build an expert's trainable layers: (N, d) -> (N, neck), or (N, d) -> (N, d) without weights."""
        body = Neck(self.trunk_dim, self.neck) if self.neck else nn.BatchNorm1d(self.trunk_dim, affine=False)
        return Encoder(body, False)

    def branched(self, branches: int, unshared: Unshared, slim: bool = False, leader: bool = False) -> Encoder:
        """Build K necks as the branches of the frozen network; `slim` takes a quarter of the features.

        `leader` changes nothing, as no shared layer learns. Raises LongtailError without necks.
        """
        if not self.neck:
            raise LongtailError(
                "the branches of this method need layers of their own on frozen features; add --neck 512"
            )
        return Encoder(ParallelNecks(branches, self.trunk_dim, self.neck * 3 // 4 if slim else self.neck), False)


@dataclass(frozen=True)
class VectorNet(FrozenNet):
    """The recipe of an expert's network on vectors of `inputs` numbers, which no network of ours computed."""

    inputs: int = 0

    def __post_init__(self):
        """Check nothing: there is no network whose image size could be wrong."""

    @property
    def trunk_dim(self) -> int:
        return self.inputs
