"""Every way to run a step on one GPU, in fp32, TF32 and bf16: equality of losses, milliseconds, peak memory.

One command for one lease: `python -m benchmarks gpu`. On a machine without a GPU it runs the same code eagerly on the CPU
at a tiny size, so that a test keeps it in order.
"""

import argparse

import torch

from benchmarks.experts import candidates
from benchmarks.harness import compare, save
from benchmarks.peer import PeerECL, PeerStep
from benchmarks.step import RECIPE, batches, ours
from longtail.graph import GraphStep
from longtail.nets import Experts
from longtail.step import Step
from longtail.world import full_precision

LOOP = Experts.forward


def one_stream(self: Experts, x: torch.Tensor) -> torch.Tensor:
    """The experts in turn, also under capture."""
    return torch.stack([expert(x) for expert in self.experts])


def losses(step: Step, data: list) -> list[float]:
    """Total loss of each step."""
    found = []
    for batch in data:
        step([batch], 0.0)
        found.append(sum(step.read()[0].values()))
    return found


def peer_step(device: str) -> PeerStep:
    """The stand-in peer with our weights."""
    return PeerStep(PeerECL(ours("fp32", device=device).method), RECIPE.lr, RECIPE.momentum, RECIPE.weight_decay)


def run_precision(precision: str, device: str, rounds: int, steps: int) -> dict:
    """Time peer, eager, graph and graph with streams in one precision, after checking that their losses agree."""
    full_precision(precision != "tf32")
    data = batches(max(steps, 6), device)
    encoders = "bf16" if precision == "bf16" else "fp32"
    record, timed = {}, {}
    expected = losses(ours(encoders, device=device), data[:6])
    for name, kind, forward in (
        ("eager", Step, LOOP),
        ("graph", GraphStep, one_stream),
        ("graph + streams", GraphStep, LOOP),
    ):
        Experts.forward = forward
        step = ours(encoders, kind, device)
        found = losses(step, data[:6])
        worst = max(abs(a - b) / b for a, b in zip(found, expected, strict=True))
        tolerance = 1e-4 if precision == "fp32" else 2e-2
        assert worst < tolerance, f"{name} in {precision} differs by {worst:.1e}"
        captured = getattr(step, "graph", None) is not None
        record[name] = {"loss_difference": worst, "captured": captured, "peak_mb": peak(device)}
        timed[name] = lambda step=step: [step([batch], 0.0) for batch in data[:steps]]
    Experts.forward = LOOP
    peer = peer_step(device)
    views = [(ours(encoders, device=device).prepare(batch).views, batch.y) for batch in data[:steps]]
    if precision == "fp32":
        worst = max(abs(peer(*v, y) - e) / e for (v, y), e in zip(views[:3], expected[:3], strict=False))
        assert worst < 1e-3, f"the peer differs by {worst:.1e}"
    calls = {"peer": lambda: [peer(*v, y) for v, y in views], **timed}
    print(f"{precision}: {steps} steps a round")
    return record | compare(calls, rounds) | {"steps": steps}


def peak(device: str) -> float | None:
    """Largest GPU memory so far, in MB, and start anew."""
    if device == "cpu":
        return None
    found = torch.cuda.max_memory_allocated() / 2**20
    torch.cuda.reset_peak_memory_stats()
    return found


def run_strategies(device: str, rounds: int) -> dict:
    """Forward and backward of the experts alone: loop, channels last, vmap, grouped, each captured where that works."""
    calls, trained = candidates(device)
    x, timed = torch.randn(64, 3, 32, 32, device=device), {}
    for name in calls:

        def both(name: str = name) -> None:
            torch.autograd.grad(calls[name](x).square().mean(), trained[name])

        timed[name] = captured(both) if device != "cpu" else both
    return compare(timed, rounds)


def captured(work):
    """A replay of the work as one graph, or the work itself where it cannot be captured."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            work()
    except RuntimeError as error:
        print(f"not captured: {str(error).splitlines()[0]}")
        return work
    return graph.replay


def main(argv: list[str]) -> None:
    """Run all of it; about five minutes on a GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--rounds", type=int, default=10 if on_gpu else 1)
    parser.add_argument("--steps", type=int, default=50 if on_gpu else 1)
    args = parser.parse_args(argv)
    device, record = "cuda" if on_gpu else "cpu", {}
    for precision in ("fp32", "tf32", "bf16") if on_gpu else ("fp32", "bf16"):
        record[precision] = run_precision(precision, device, args.rounds, args.steps)
    record["strategies"] = run_strategies(device, args.rounds)
    if on_gpu:
        save("gpu", record)
