"""K experts as one module, and K small layers as one batched product."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from longtail.nets.encoder import Encoder
from longtail.nets.fusible import can_compile, fits


class Experts(nn.Module):
    """K complete networks over the same images: (N, 3, H, W) -> (K, N, d)."""

    def __init__(self, build: Callable[[], nn.Module], experts: int):
        super().__init__()
        self.experts = nn.ModuleList(build() for _ in range(experts))
        # one set of streams for all micro-batches of a step, so that they share memory
        self.streams: list[torch.cuda.Stream] = []
        self.fused: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if (fused := self.find_fused(x)) is not None:
            return fused(x)
        if x.is_cuda and torch.cuda.is_current_stream_capturing():
            return torch.stack(self.run_in_parallel(x))
        return torch.stack([expert(x) for expert in self.experts])

    def find_fused(self, x: Tensor) -> Any:
        """Return all experts as one fused network where one GPU trains ResNets of CIFAR, else None.

        Images under 16 pixels train too fast to be worth the compiling.
        """
        if not (x.is_cuda and self.training and x.shape[-1] >= 16 and can_compile()):
            return None
        bodies = [getattr(expert, "body", expert) for expert in self.experts]
        if not fits(bodies, x):
            return None
        from longtail.nets.fused import FusedResNets  # needs Triton, which torch brings on Linux

        cudnn = cast(Any, torch.backends.cudnn)
        precision = "tf32" if cudnn.conv.fp32_precision == "tf32" else "fp32"
        precision = "bf16" if cast(Encoder, self.experts[0]).half else precision
        if self.fused is None or not self.fused.fits_still(precision):
            self.fused = FusedResNets(bodies, precision)
        return self.fused

    def run_in_parallel(self, x: Tensor) -> list[Tensor]:
        """Run every expert on its stream, so that a CUDA graph computes all at once, in the backward pass too."""
        self.streams = self.streams or [torch.cuda.Stream() for _ in self.experts]
        current, outputs = torch.cuda.current_stream(), []
        for expert, stream in zip(self.experts, self.streams, strict=True):
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                outputs.append(expert(x))
        for stream in self.streams:
            current.wait_stream(stream)
        # references keep the memory, which the allocator could else give to one stream while another still reads it
        self.kept = [v.detach() for v in outputs]
        return outputs


class Heads(nn.Module):
    """K linear layers, each initialized and computed like `nn.Linear`: (K, N, d) -> (K, N, C)."""

    def __init__(self, experts: int, inputs: int, outputs: int):
        super().__init__()
        layers = [nn.Linear(inputs, outputs) for _ in range(experts)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, v: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), v, self.weight.transpose(1, 2))


class CosineHeads(nn.Module):
    """K heads without bias, scale times the cosine of features and class vectors: (K, N, d) -> (K, N, C)."""

    def __init__(self, experts: int, inputs: int, outputs: int, scale: float):
        super().__init__()
        self.weight, self.scale = nn.Parameter(normalize(torch.randn(experts, outputs, inputs), dim=-1)), scale

    def forward(self, v: Tensor) -> Tensor:
        return self.scale * normalize(v, dim=-1) @ normalize(self.weight, dim=-1).transpose(1, 2)


class ClassScales(nn.Module):
    """A learned factor for the logit of each class, 1 at first: (K, N, C) -> (K, N, C)."""

    def __init__(self, experts: int, classes: int):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(experts, 1, classes))

    def forward(self, z: Tensor) -> Tensor:
        return self.factor * z


class Projectors(nn.Sequential):
    """K two-layer projectors without batch norm: (K, N, d) -> (K, N, out)."""

    def __init__(self, experts: int, inputs: int, outputs: int):
        super().__init__(Heads(experts, inputs, inputs), nn.ReLU(), Heads(experts, inputs, outputs))


def build_mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Build two layers with batch norm between, as PaCo and BCL project (authors' code): (N, inputs) -> (N, outputs)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))
