"""Interleaved timing of candidates in one process, and records with machine, versions, date and commit."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch

from longtail.reproduce.ledger import get_commit

RESULTS = Path(__file__).parent / "results"


@dataclass
class Invocation:
    """The command line of this benchmark, and whether it asks to keep the record."""

    command: str = ""
    is_kept: bool = False


INVOCATION = Invocation()


def count(least: int = 1) -> Callable[[str], int]:
    """Return a type of argparse: a whole number of at least 1, or 2 where a standard deviation is computed."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is no whole number of {least} or more")
        return int(text)

    return parse


def parse_value(value: str) -> Any:
    """Parse a JSON number, truth value or null; return any other text unchanged."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def compare(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict:
    """Time the candidates in turn, A B A B, and print and return their seconds and ratios.

    A ratio is that of the first candidate to another one in the same round, so that a busy machine slows both.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for call in candidates.values():
        timed(call)  # the first call allocates memory and compiles
    for _ in range(rounds):
        for name, call in candidates.items():
            seconds[name].append(timed(call))
    record: dict[str, Any] = {"rounds": rounds, "seconds": {name: spread(values) for name, values in seconds.items()}}
    first, *others = candidates
    record["ratios"] = {
        f"{first} / {other}": spread([a / b for a, b in zip(seconds[first], seconds[other], strict=True)])
        for other in others
    }
    report(record)
    return record


def timed(call: Callable[[], object]) -> float:
    """Measure one call in seconds, with the queued work of the GPU."""
    synchronize()
    start = time.perf_counter()
    call()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: list[float]) -> dict[str, float]:
    """Return minimum, median and maximum of the values."""
    return {"min": min(values), "median": median(values), "max": max(values)}


def report(record: dict) -> None:
    """Print the milliseconds and the ratios of a comparison."""
    width = max(map(len, [*record["seconds"], *record["ratios"]]))
    for name, values in record["seconds"].items():
        print(f"{name:<{width}}  " + "  ".join(f"{key} {1000 * values[key]:9.2f} ms" for key in values))
    for name, values in record["ratios"].items():
        print(f"{name:<{width}}  {values['median']:.2f}x ({values['min']:.2f} ... {values['max']:.2f})")


def save(name: str, record: dict) -> None:
    """Write a record to benchmarks/results/NAME.json, with command, machine, versions, date and commit, if it is to be kept."""
    if not INVOCATION.is_kept:
        print(f"not kept; --save writes benchmarks/results/{name}.json")
        return
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    header = {
        "command": INVOCATION.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": get_commit(),
        "machine": machine(),
        "versions": versions(),
    }
    path.write_text(json.dumps(header | record, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def machine() -> dict:
    """Describe the processor, its cores, torch's threads and the GPU."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def cpu_model() -> str:
    """Return the name of the processor, from /proc/cpuinfo on Linux."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions() -> dict[str, str | None]:
    """Return the versions that a timing depends on; None for a package that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "pillow", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
