"""Every way to run a step on one GPU, in fp32, TF32 and bf16: equality of losses, milliseconds, peak memory.

Without a GPU the eager step of plain networks runs on the CPU, so that a test covers this code.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.harness import compare, count, save
from benchmarks.step import batches, ours, peer_step
from longtail.graph import GraphStep
from longtail.nets import Experts
from longtail.step import Step

FIND = Experts.find_fused
CANDIDATES = {  # kind of step, and whether its networks are fused
    "eager, plain": (Step, False),
    "eager, fused": (Step, True),
    "graph, plain": (GraphStep, False),
    "graph, fused": (GraphStep, True),
}


def losses(step: Step, data: list) -> list[float]:
    """Return the total loss of each step."""
    totals = []
    for batch in data:
        step([batch], 0.0)
        totals.append(sum(step.pop_sums()[0].values()))
    return totals


def run_precision(precision: str, device: str, rounds: int, steps: int) -> dict:
    """Time peer, eager and captured steps, of plain and fused networks, and record how far their losses differ."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    data = batches(max(steps, 6), device)
    encoders = "bf16" if precision == "bf16" else "fp32"
    reference = ours(encoders, device=device)
    views = [(reference.prepare(batch).views, batch.y) for batch in data[:steps]]
    expected = losses(reference, data[:6])
    tolerance = 1e-4 if precision == "fp32" else 2e-2
    record, timed = {}, {}
    for name, (kind, is_fused) in list(CANDIDATES.items())[: None if device == "cuda" else 1]:
        Experts.find_fused = FIND if is_fused else lambda self, x: None  # type: ignore[method-assign]
        held = start_peak_memory(device)  # by the candidates before
        step = ours(encoders, kind, device)
        worst = apart(losses(step, data[:6]), expected)
        record[name] = {
            "loss_difference": worst,
            "agrees": worst < tolerance,
            "captured": getattr(step, "graph", None) is not None,
            "peak_reserved_mb": (torch.cuda.max_memory_reserved() - held) / 2**20 if device == "cuda" else None,
        }
        timed[name] = partial(run_steps, step, data[:steps], Experts.find_fused)
    Experts.find_fused = FIND  # type: ignore[method-assign]
    peer = peer_step(device)
    worst = apart([peer(v[0], v[1], y) for v, y in views[:3]], expected)
    record["peer"] = {"loss_difference": worst, "agrees": worst < max(tolerance, 1e-3)}
    calls = {"peer": lambda: [peer(v[0], v[1], y) for v, y in views], **timed}
    print(f"{precision}: {steps} steps a round; the peer has no bf16 and then runs in fp32")
    for name, row in record.items():
        print(f"{name}: {row}")
    if wrong := [name for name, row in record.items() if not row["agrees"]]:
        raise SystemExit(f"the losses of {', '.join(wrong)} differ in {precision}; a wrong result is not timed")
    return record | compare(calls, rounds) | {"steps": steps}


def run_steps(step: Step, data: list, find_fused: Callable) -> None:
    """Run steps with fused networks or without."""
    Experts.find_fused = find_fused  # type: ignore[method-assign]
    for batch in data:
        step([batch], 0.0)
    Experts.find_fused = FIND  # type: ignore[method-assign]


def apart(losses: list[float], expected: list[float]) -> float:
    """Return the largest relative difference between losses."""
    return max(abs(a - b) / b for a, b in zip(losses, expected, strict=False))


def start_peak_memory(device: str) -> int:
    """Begin to measure the peak of what torch reserves, with the pools of captured steps; return the bytes reserved now."""
    if device == "cpu":
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_reserved()


def main(argv: list[str]) -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--rounds", type=count(), default=10 if on_gpu else 1)
    parser.add_argument("--steps", type=count(), default=50 if on_gpu else 1)
    args = parser.parse_args(argv)
    device = "cuda" if on_gpu else "cpu"
    record: dict[str, dict] = {}
    for precision in ("fp32", "tf32", "bf16") if on_gpu else ("fp32", "bf16"):
        record[precision] = run_precision(precision, device, args.rounds, args.steps)
        if on_gpu:
            save("gpu", record)  # keeps the first results if the machine is taken away
