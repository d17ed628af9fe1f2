"""Light tuning: a pretrained network of timm of which a few parameters train, or two small layers a block.

AdaptFormer (Chen et al., NeurIPS 2022), LoRA (Hu et al., ICLR 2022); widths and initial values as in LIFT (Shi et al., ICML
2024, and its code). Both begin as zero, so that the network starts unchanged.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from longtail.errors import LongtailError

# linear layers of an attention that make queries, keys and values
PROJECTIONS = ("qkv", "q", "k", "v", "kv", "q_proj", "k_proj", "v_proj")


class AdaptFormer(nn.Module):
    """A bottleneck that is added to the MLP of a block, zero at first: (..., d) -> (..., d)."""

    def __init__(self, width: int, bottleneck: int):
        super().__init__()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.scale = nn.Parameter(torch.ones(1))
        nn.init.kaiming_normal_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.up(self.down(x).relu())


class LoRA(nn.Module):
    """A matrix of low rank that is added to a weight, zero at first: (out, in) -> (out, in)."""

    def __init__(self, outputs: int, inputs: int, rank: int):
        super().__init__()
        self.down, self.up = nn.Parameter(torch.empty(rank, inputs)), nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = 1 / rank

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down)


def prepare_tuning(body: nn.Module, net: str, kind: str, classes: int) -> None:
    """Freeze a network, in place, except for what a kind of tuning trains, and add its layers for a number of classes.

    Raises LongtailError for a kind that has nothing to train in this network.
    """
    if kind == "all":
        return
    found = list_choices(body)
    if kind not in found:
        needs = "transformer blocks" if kind in ("adaptformer", "lora") else f"{kind} parameters"
        raise LongtailError(f"tune {kind} needs {needs}, and {net} has none; --tune takes here {', '.join(found)}")
    body.requires_grad_(False)
    if kind in ("norm", "bias"):
        for parameter in list_parameters(body, kind):
            parameter.requires_grad_(True)
    blocks = list_blocks(body)
    width = compute_bottleneck(classes, len(blocks)) if blocks else 0
    for block in blocks:
        if kind == "adaptformer":
            add_adapter(block.mlp, width)
        if kind == "lora":
            for layer in list_projections(block):
                parametrize.register_parametrization(
                    layer, "weight", LoRA(layer.out_features, layer.in_features, width)
                )


def list_choices(body: nn.Module) -> list[str]:
    """Return the kinds of tuning that a network has parameters or blocks for."""
    blocks = list_blocks(body)
    has = {"heads": True, "norm": any(True for _ in list_parameters(body, "norm"))}
    has |= {"bias": any(True for _ in list_parameters(body, "bias")), "adaptformer": bool(blocks)}
    has |= {"lora": any(map(list_projections, blocks)), "all": True}
    return [kind for kind, is_there in has.items() if is_there]


def list_parameters(body: nn.Module, kind: str) -> Iterator[nn.Parameter]:
    """Yield the parameters of all normalization layers ("norm"), or all biases ("bias")."""
    for module in body.modules():
        is_norm = "Norm" in type(module).__name__  # timm has many classes of them without a common base
        for name, parameter in module.named_parameters(recurse=False):
            if is_norm if kind == "norm" else name.endswith("bias"):
                yield parameter


def list_blocks(body: nn.Module) -> list[Any]:
    """Return the transformer blocks of a network: modules with an attention, and an MLP that begins with a linear layer."""
    return [m for m in body.modules() if isinstance(getattr(m, "attn", None), nn.Module) and find_first_linear(m)]


def find_first_linear(block: nn.Module) -> nn.Linear | None:
    """Return the first layer with weights of a block's MLP if that layer is linear."""
    layers = getattr(block, "mlp", None)
    # a Sequential would run an adapter as its last layer
    if not isinstance(layers, nn.Module) or isinstance(layers, nn.Sequential):
        return None
    first = next((m for m in layers.modules() if hasattr(m, "weight")), None)
    return first if isinstance(first, nn.Linear) else None


def list_projections(block: Any) -> list[nn.Linear]:
    """Return the linear layers of a block's attention that make queries, keys and values."""
    return [m for name, m in block.attn.named_children() if name in PROJECTIONS and type(m) is nn.Linear]


def compute_bottleneck(classes: int, blocks: int) -> int:
    """Return the width of the added layers: the power of two at or below C / 2L, at least 1 (Shi et al. 2024)."""
    return 2 ** max(0, int(math.log2(classes / (2 * blocks))))


def add_adapter(mlp: Any, bottleneck: int) -> None:
    """Add an AdaptFormer to an MLP, in place; all other tensors keep timm's names."""
    first = next(m for m in mlp.modules() if isinstance(m, nn.Linear))
    mlp.adapter = AdaptFormer(first.in_features, bottleneck)
    mlp.register_forward_hook(add_output)


def add_output(mlp: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Return the output of an MLP plus that of its adapter, in the type of the first."""
    return output + mlp.adapter(inputs[0]).to(output.dtype)


def merge_lora(module: nn.Module) -> None:
    """Replace every layer whose weight LoRA changes by a plain one with the sum, in place, so that the network is timm's.

    torch's `remove_parametrizations` would break the network that `module` was copied from: both share a class.
    """
    for parent in list(module.modules()):
        for name, layer in parent.named_children():
            found: Any = getattr(layer, "parametrizations", {})
            if "weight" in found and isinstance(found["weight"][0], LoRA):
                weight: Any = layer.weight
                plain = nn.Linear(weight.shape[1], weight.shape[0], layer.bias is not None, weight.device, weight.dtype)
                plain.load_state_dict({"weight": weight} | ({} if layer.bias is None else {"bias": layer.bias}))
                setattr(parent, name, plain.train(layer.training))
