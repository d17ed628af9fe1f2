"""K CIFAR ResNets as one: on a GPU a training pass of all K in some 300 kernels instead of thousands.

The networks of CIFAR are so small that a GPU spends its time on starting kernels. Here each convolution is one kernel for
all K networks, with ReLU and batch norm before it and the sums of batch norm after it. Parameters, buffers and results are
those of `nets.ResNetCifar`; `nets.Experts` trains with it what `nets.fusible` allows.

A captured step of ECL at the paper's size takes 3.7 ms in bfloat16 on an H100, where K plain networks on streams take 5.6
(docs/gpu.md, 2026-11-26). The first epoch compiles for about 20 s; Triton keeps the result in its cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from triton import cdiv, next_power_of_2

from longtail.nets import fused_kernels as kernels
from longtail.nets.fusible import CHANNELS
from longtail.nets.resnet_cifar import Block, ResNetCifar

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")
ROWS, SPLITS = {16: 128, 32: 64, 64: 64}, {16: 48, 32: 32, 64: 16}  # by channels: pixels of a program, shares of pixels


@dataclass
class Layer:
    """One convolution and its batch norm in all K networks."""

    convs: list[nn.Conv2d]
    norms: list[nn.BatchNorm2d]

    def __post_init__(self):
        self.inputs, self.outputs = self.convs[0].in_channels, self.convs[0].out_channels
        self.stride, self.momentum, self.eps = self.convs[0].stride[0], self.norms[0].momentum, self.norms[0].eps
        owners = [[conv.weight for conv in self.convs]]
        owners += [[getattr(norm, name) for norm in self.norms] for name in NORM_TENSORS]
        table = [[tensor.data_ptr() for tensor in tensors] for tensors in owners]
        self.weights, *self.norm_tables = torch.tensor(table, device=self.convs[0].weight.device)


@dataclass
class Activations:
    """What a layer keeps for the backward pass: its input, its convolution's result, and its batch norm."""

    layer: Layer
    x: Tensor  # (N, H, W, 3), or (K, N, H, W, inputs)
    before: Tensor | None  # scale and shift (K, 2, inputs) of the batch norm that the input still needs
    y: Tensor  # (K, N, H, W, outputs)
    affine: Tensor  # scale and shift (K, 2, outputs)
    moments: Tensor  # mean and 1 / deviation (K, 2, outputs)


class FusedResNets:
    """K ResNets of one shape, trained together; their parameters and buffers stay where they are."""

    def __init__(self, bodies: Sequence[nn.Module], precision: str):
        """Read the addresses of the networks' tensors; `precision` is "fp32", "tf32" or "bf16"."""
        self.precision = precision
        chains = [list_layers(body) for body in bodies]
        self.layers = [Layer(*map(list, zip(*pairs, strict=True))) for pairs in zip(*chains, strict=True)]
        self.parameters = [p for body in bodies for p in body.parameters()]
        self.tensors = [t for body in bodies for t in (*body.parameters(), *body.buffers())]
        self.addresses = [t.data_ptr() for t in self.tensors]
        self.trackers = [
            t for body in bodies for name, t in body.named_buffers() if name.endswith("num_batches_tracked")
        ]
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        # three products in TF32 have the precision of one in float32
        self.dot = {"fp32": "tf32x3", "tf32": "tf32", "bf16": "ieee"}[precision]
        self.experts, device = len(bodies), self.parameters[0].device
        self.identities = {c: torch.eye(2, device=device)[:1].T.repeat(self.experts, 1, c) for c in CHANNELS}

    def fits_still(self, precision: str) -> bool:
        """Return whether the tensors are still where they were, and the precision is the same."""
        return precision == self.precision and all(
            t.data_ptr() == address for t, address in zip(self.tensors, self.addresses, strict=True)
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the features: (N, 3, H, W) -> (K, N, d)."""
        return FusedFunction.apply(x, self, *self.parameters)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Activations], list[Tensor]]:
        """Compute the features (K, N, d), and what the backward pass needs: of each layer, and the results of the blocks."""
        stem = self.conv(self.layers[0], x.permute(0, 2, 3, 1).to(self.dtype).contiguous(), None)
        kept, outs = [stem], [self.activate(stem, None)]
        for first, second in zip(self.layers[1::2], self.layers[2::2], strict=True):
            kept.append(self.conv(first, outs[-1], self.identities[first.inputs]))
            kept.append(self.conv(second, kept[-1].y, kept[-1].affine))
            outs.append(self.activate(kept[-1], outs[-1]))
        torch._foreach_add_(self.trackers, 1)
        return outs[-1].mean((2, 3), dtype=torch.float32), kept, outs

    def conv(self, layer: Layer, x: Tensor, before: Tensor | None) -> Activations:
        """Run a convolution, behind the batch norm `before` and ReLU, and find the statistics of its own batch norm."""
        n, height, width, _ = x.shape[-4:]
        ho, wo, c = height // layer.stride, width // layer.stride, layer.outputs
        rows, block, k = n * ho * wo, ROWS[c], self.experts
        programs = cdiv(rows, block)
        y, sums = x.new_empty(k, n, ho, wo, c), x.new_empty(k, programs, 2, c, dtype=torch.float32)
        kernels.conv[programs, k](
            x, layer.weights, before, y, sums, x.stride(0) if before is not None else 0, rows,
            height, width, ho, wo, layer.inputs, max(layer.inputs, 16), c, layer.stride,
            before is not None, self.dot, block,
        )  # fmt: skip
        affine, moments = sums.new_empty(k, 2, c), sums.new_empty(k, 2, c)
        kernels.normalize[k, c // 16](
            sums, *layer.norm_tables, affine, moments, programs, float(rows), layer.momentum, layer.eps, c,
            min(next_power_of_2(programs), 512), num_warps=8,
        )  # fmt: skip
        return Activations(layer, x, before, y, affine, moments)

    def activate(self, kept: Activations, x: Tensor | None) -> Tensor:
        """Compute the result of a block that ends with a layer, or of the first layer: batch norm, shortcut, ReLU."""
        k, _, ho, wo, c = kept.y.shape
        out, size = torch.empty_like(kept.y), kept.y[0].numel()
        inputs = c if x is None else x.shape[-1]
        kernels.activate[cdiv(size, 1024), k](
            kept.y, kept.affine, x, out, size, ho, wo, inputs, c, 1 if inputs == c else 2, x is not None, 1024
        )
        return out

    def backward(self, pooled: Tensor, kept: list[Activations], outs: list[Tensor]) -> list[Tensor]:
        """Compute the gradients of all parameters, in their order, from that of the features (K, N, d)."""
        found = Gradients(self, kept)
        g, sums = self.pool_gradient(pooled.contiguous(), outs[-1], kept[-1])
        for b in range(len(outs) - 1, 0, -1):
            first, second, before = kept[2 * b - 1], kept[2 * b], kept[2 * b - 2]
            dy = found.add(second, g, sums)
            inner, sums = self.input_gradient(second, dy, first)
            dy = found.add(first, inner, sums)
            g, sums = self.input_gradient(first, dy, before, g, outs[b - 1])
        found.add(kept[0], g, sums)
        return found.collect()

    def pool_gradient(self, pooled: Tensor, a: Tensor, kept: Activations) -> tuple[Tensor, Tensor]:
        """Return the gradient of the last batch norm's result, and the sums that its backward pass needs."""
        k, n, height, width, c = kept.y.shape
        rows, block = n * height * width, ROWS[c]
        programs = cdiv(rows, block)
        out, sums = torch.empty_like(kept.y), pooled.new_empty(k, programs, 2, c)
        kernels.pool_gradient[programs, k](pooled, a, kept.y, kept.moments, out, sums, rows, height * width, c, block)
        return out, sums

    def input_gradient(
        self,
        kept: Activations,
        dy: Tensor,
        before: Activations,
        shortcut: Tensor | None = None,
        a: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the gradient of the batch norm in front of a layer and its sums; a block's first layer adds its shortcut's."""
        layer, (k, n, height, width, c) = kept.layer, before.y.shape
        rows, block = n * height * width, ROWS[c]
        programs = cdiv(rows, block)
        out, sums = torch.empty_like(before.y), before.affine.new_empty(k, programs, 2, c)
        kernels.conv_input_gradient[programs, k](
            dy, layer.weights, shortcut, a, before.y, before.affine, before.moments, out, sums, rows,
            height, width, *dy.shape[2:4], c, layer.outputs, layer.stride, shortcut is not None, self.dot, block,
        )  # fmt: skip
        return out, sums


class Gradients:
    """The gradients of all parameters of K networks; those of weights come in shares, which are added at the end."""

    def __init__(self, nets: FusedResNets, kept: list[Activations]):
        self.nets, self.norms = nets, [torch.empty_like(each.affine) for each in kept]
        shapes = [(each.layer.outputs, 3, 3, each.layer.inputs) for each in kept]
        self.shares = {
            shape: kept[0].affine.new_empty(SPLITS[shape[0]], shapes.count(shape), nets.experts, *shape)
            for shape in dict.fromkeys(shapes)
        }
        self.places = [(shape, shapes[:i].count(shape)) for i, shape in enumerate(shapes)]
        self.numbers = {id(each): i for i, each in enumerate(kept)}

    def add(self, kept: Activations, g: Tensor, sums: Tensor) -> Tensor:
        """Find the gradients of a layer's parameters, and return that of its convolution's result."""
        layer, (k, n, ho, wo, c) = kept.layer, kept.y.shape
        rows, size, number = n * ho * wo, n * ho * wo * c, self.numbers[id(kept)]
        coefficients, dy = sums.new_empty(k, 3, c), torch.empty_like(g)
        kernels.normalize_gradient[k, c // 16](
            sums, kept.affine, kept.moments, coefficients, self.norms[number], sums.shape[1], float(rows), c,
            min(next_power_of_2(sums.shape[1]), 512), num_warps=8,
        )  # fmt: skip
        kernels.combine[cdiv(size, 1024), k](g, kept.y, coefficients, dy, size, c, 1024)
        shape, place = self.places[number]
        out = self.shares[shape][:, place]
        splits, (height, width) = len(out), kept.x.shape[-3:-1]
        kernels.conv_weight_gradient[splits, 3, k](
            dy, kept.x, kept.before, out, kept.x.stride(0) if kept.before is not None else 0, out.stride(0), rows,
            cdiv(rows, splits * 64), height, width, ho, wo, layer.inputs, max(layer.inputs, 16), c, layer.stride,
            kept.before is not None, self.nets.dot, 64,
        )  # fmt: skip
        return dy

    def collect(self) -> list[Tensor]:
        """Return the gradients in the order of the networks' parameters."""
        weights = {shape: shares.sum(0) for shape, shares in self.shares.items()}
        found = []
        for expert in range(self.nets.experts):
            for (shape, place), norm in zip(self.places, self.norms, strict=True):
                found += [weights[shape][place, expert].permute(0, 3, 1, 2), *norm[expert]]
        return found


class FusedFunction(torch.autograd.Function):
    """The K networks as one differentiable operation; the images get no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, nets: FusedResNets, *parameters: Tensor) -> Tensor:
        pooled, *kept = nets.forward(x)
        if any(ctx.needs_input_grad):
            ctx.nets, ctx.kept = nets, kept
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pooled: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.nets.backward(pooled, *ctx.kept)


def list_layers(body: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Return the convolutions of a ResNet in order, each with its batch norm."""
    assert isinstance(body, ResNetCifar)
    blocks = [block for block in body.modules() if isinstance(block, Block)]
    inner = [pair for block in blocks for pair in ((block.conv1, block.bn1), (block.conv2, block.bn2))]
    return [(body.conv1, body.bn1), *inner]
