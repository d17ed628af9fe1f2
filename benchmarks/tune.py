"""What light tuning saves: the time of a step, and the activations kept for it, for every kind that a network has."""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.harness import compare, save
from longtail.nets import Encoder, Net


def main(argv: list[str]) -> None:
    """Measure forward and backward passes of one batch, for all kinds of tuning in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tune", description=__doc__)
    parser.add_argument("--net", default="vit_small_patch16_224")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", default=["all", "lora", "adaptformer", "bias", "norm", "heads"])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    x, calls, kinds = torch.randn(args.batch, 3, args.size, args.size), {}, {}
    for kind in args.kinds:
        encoder = Net(args.net, size=args.size, tune=kind, classes=args.classes).encoder()
        calls[kind] = build_step(encoder, x)
        trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
        kinds[kind] = {"trained": trained, "kept_mb": round(count_kept_bytes(encoder, x) / 2**20, 1)}
        print(kind, kinds[kind], flush=True)
    about = {"net": args.net, "size": args.size, "batch": args.batch, "kinds": kinds}
    save("tune", about | compare(calls, args.rounds))


def build_step(encoder: Encoder, x: Tensor) -> Callable[[], None]:
    """Build a forward pass, and a backward pass where anything in the encoder trains."""

    def step() -> None:
        v = encoder(x)
        if v.requires_grad:
            v.sum().backward()

    return step


def count_kept_bytes(encoder: Encoder, x: Tensor) -> int:
    """Count the bytes that a forward pass keeps for the backward pass, without parameters."""
    own, kept = {p.data_ptr() for p in encoder.parameters()}, {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        v = encoder(x).sum()  # the graph lives until its bytes are counted
    total = sum(kept.values())
    del v
    return total
