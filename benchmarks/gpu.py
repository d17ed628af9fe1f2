"""Every way to run a step on one GPU, in fp32, TF32 and bf16: equality of losses, milliseconds, peak memory.

Without a GPU the same code runs eagerly on the CPU at a tiny size, so that a test covers it.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.harness import compare, save
from benchmarks.step import batches, ours, peer_step
from longtail.graph import GraphStep
from longtail.nets import Experts
from longtail.step import Step

FIND = Experts.find_fused


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
    for name, kind, is_fused in (
        ("eager, plain", Step, False),
        ("eager, fused", Step, True),
        ("graph, plain", GraphStep, False),
        ("graph, fused", GraphStep, True),
    ):
        Experts.find_fused = FIND if is_fused else lambda self, x: None  # type: ignore[method-assign]
        before = reserved(device)
        step = ours(encoders, kind, device)
        worst = apart(losses(step, data[:6]), expected)
        captured = getattr(step, "graph", None) is not None
        memory = (reserved(device) - before) / 2**20
        record[name] = {
            "loss_difference": worst,
            "agrees": worst < tolerance,
            "captured": captured,
            "memory_mb": memory,
        }
        timed[name] = partial(run_steps, step, data[:steps], Experts.find_fused)
    Experts.find_fused = FIND  # type: ignore[method-assign]
    peer = peer_step(device)
    worst = apart([peer(v[0], v[1], y) for v, y in views[:3]], expected)
    record["peer in fp32"] = {"loss_difference": worst, "agrees": worst < max(tolerance, 1e-3)}
    calls = {"peer in fp32": lambda: [peer(v[0], v[1], y) for v, y in views], **timed}
    print(f"{precision}: {steps} steps a round; the reference runs in fp32 or TF32 only")
    for name, row in record.items():
        print(f"{name}: {row}")
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


def reserved(device: str) -> int:
    """Return the bytes of GPU memory that torch holds after freeing unused memory."""
    if device == "cpu":
        return 0
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved()


def main(argv: list[str]) -> None:
    """Run all comparisons; about two minutes on a GPU, half of it compiling."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--rounds", type=int, default=10 if on_gpu else 1)
    parser.add_argument("--steps", type=int, default=50 if on_gpu else 1)
    args = parser.parse_args(argv)
    device = "cuda" if on_gpu else "cpu"
    record: dict[str, dict] = {}
    for precision in ("fp32", "tf32", "bf16") if on_gpu else ("fp32", "bf16"):
        record[precision] = run_precision(precision, device, args.rounds, args.steps)
        if on_gpu:
            save("gpu", record)  # keeps the first results if the machine is taken away
    rows = [(p, name, row) for p, rows in record.items() for name, row in rows.items() if isinstance(row, dict)]
    wrong = [f"{name} in {p}" for p, name, row in rows if not row.get("agrees", True)]
    if wrong:
        raise SystemExit(f"the losses of {', '.join(wrong)} differ, so these timings are of a wrong result")
