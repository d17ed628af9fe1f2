"""Interleaved timing of candidates in one process, and records that say where a number comes from."""

import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median

import torch

from longtail.reproduce.ledger import get_commit

RESULTS = Path(__file__).parent / "results"


def compare(candidates: dict[str, Callable[[], object]], rounds: int) -> dict:
    """Time the candidates in turn, A B A B, and print and return their seconds and ratios.

    Each ratio is paired: first candidate over another within a round, so that what slows the machine slows both.
    """
    seconds = {name: [] for name in candidates}
    for call in candidates.values():
        timed(call)  # the first call pays for memory and code
    for _ in range(rounds):
        for name, call in candidates.items():
            seconds[name].append(timed(call))
    record = {"rounds": rounds, "seconds": {name: spread(values) for name, values in seconds.items()}}
    first, *others = candidates
    record["ratios"] = {
        f"{first} / {other}": spread([a / b for a, b in zip(seconds[first], seconds[other], strict=True)])
        for other in others
    }
    report(record)
    return record


def timed(call: Callable[[], object]) -> float:
    """Measure one call in seconds, the GPU's queue included."""
    synchronize()
    start = time.perf_counter()
    call()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: list[float]) -> dict[str, float]:
    """Sum values up by their least, middle and largest."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def report(record: dict) -> None:
    """Print a comparison: milliseconds, then ratios."""
    width = max(map(len, [*record["seconds"], *record["ratios"]]))
    for name, values in record["seconds"].items():
        print(f"{name:<{width}}  " + "  ".join(f"{key} {1000 * values[key]:9.2f} ms" for key in values))
    for name, values in record["ratios"].items():
        print(f"{name:<{width}}  {values['median']:.2f}x ({values['min']:.2f} ... {values['max']:.2f})")


def save(name: str, record: dict) -> Path:
    """Write a record to benchmarks/results/NAME.json, with machine, versions, date and commit."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    where = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": get_commit(),
        "machine": machine(),
        "versions": versions(),
    }
    path.write_text(json.dumps({**where, **record}, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}")
    return path


def machine() -> dict:
    """Describe the processor, its cores, torch's threads and the GPU."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def cpu_model() -> str:
    """Read the processor's name, from /proc where there is one."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions() -> dict[str, str | None]:
    """Tell the versions that a timing depends on; null where a package is absent."""
    found = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "pillow", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
