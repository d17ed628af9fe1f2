"""Faults that runs, data and the command line hold: flipped bits, kills, hostile data, random command lines."""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from safetensors.torch import load_file

from benchmarks import hostile
from benchmarks.harness import count, save
from longtail import LongtailError, train
from longtail.checkpoint import load_checkpoint
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import RunFolder
from tests import fuzzing, killed

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    *("model.safetensors", "model.json", "predictions.parquet", "results.json", "recipe.json", "split.json"),
    *("per_class.csv", "metrics.csv", "checkpoint.pt", "environment.json", "manifest.json"),
)
Tally = dict[str, list[int]]  # kind -> tried, held


def flatten(value: Any) -> object:
    """Return a value that equals another one only if every bit of its tensors and arrays does."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return [(key, flatten(entry)) for key, entry in value.items()]
    return [flatten(entry) for entry in value] if isinstance(value, list | tuple) else repr(value)


def read_run(path: Path) -> object:
    """Read everything that a run folder gives: results, tables, predictions, weights and checkpoint."""
    run = FinishedRun.open(path)
    names = ("results", "model", "split", "environment", "recipe", "classes", "metrics", "per_class")
    columns = {name: column.tolist() for name, column in run.predictions.items()}
    state = run.load_method().inference_state()
    return flatten([[getattr(run, name) for name in names], columns, state, load_checkpoint(RunFolder(path))])


def flip_bits(path: Path, flips: int) -> dict[str, list[bool]]:
    """Flip one bit at a time, spread evenly over each file; return whether each was named or without effect, by file."""
    held: dict[str, list[bool]] = {}
    expected, generator = read_run(path), random.Random(0)
    weights = {name: (path / name).stat().st_size ** 0.5 for name in FILES}  # large files more often, small ones too
    for name, weight in weights.items():
        content = (path / name).read_bytes()
        number = max(round(flips * weight / sum(weights.values())), 10)
        for k in range(number):
            damaged, low, high = bytearray(content), k * len(content) // number, (k + 1) * len(content) // number
            damaged[generator.randrange(low, max(high, low + 1))] ^= 1 << generator.randrange(8)
            (path / name).write_bytes(damaged)
            held.setdefault(name, []).append(reads_right(path, expected))
        (path / name).write_bytes(content)
    return held


def reads_right(path: Path, expected: object) -> bool:
    """Return whether a run is refused by one line, or gives what is expected."""
    try:
        return read_run(path) == expected
    except LongtailError as error:
        return "\n" not in str(error) and str(path) in str(error)
    except Exception as error:
        print(f"  {type(error).__name__}: {error}")
        return False


def kill_runs(folder: Path, kills: int) -> tuple[int, int]:
    """Kill a run again and again; return kills, and those that ended with the bits of an undisturbed run."""
    command = [sys.executable, ROOT / "tests" / "killed.py", folder / "killed", str(kills), "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    died = int(found.stdout.split()[0]) if found.stdout else 0
    options = {"epochs": killed.EPOCHS, "experts": 2, "eval_every": 5}
    train("digits-lt", "ecl", out=folder / "whole", device="cpu", threads=1, **options)
    a, b = (load_file(folder / name / "model.safetensors") for name in ("whole", "killed"))
    is_same = found.returncode == 0 and flatten(a) == flatten(b)
    return died, died if is_same else 0


def try_data(folder: Path, name: str) -> bool:
    """Return whether training refuses a hostile data set in one line, and not only since all training is left out."""
    data = hostile.build(folder, name)
    with fuzzing.without_training(folder):
        words = ["train", data, "ce", "--net", "conv4", "--size", "8", "--batch-size", "4", "--out", "run"]
        return is_held([*words, *(["--test-share", "0.2"] if data != "data" else [])], refused=True)


def is_held(words: list[str], refused: bool = False) -> bool:
    """Return whether a command line ends with a documented exit code; print those that do not."""
    try:
        found = fuzzing.run_line(words)
        fuzzing.check_outcome(found)
        if refused and (found.code != 2 or "training is left out" in found.err):
            raise AssertionError(found)
    except Exception as error:
        print(f"  {words}: {type(error).__name__}: {str(error)[-600:]}", flush=True)
        return False
    return True


def fuzz(folder: Path, examples: int) -> list[bool]:
    """Try random command lines in a new folder; return whether each one held."""
    held = []
    fuzzing.build_workspace(folder)
    before = fuzzing.fingerprint(folder)

    @seed(0)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(words=fuzzing.lines())
    def try_line(words: list[str]) -> None:
        held.append(is_held(words) and fuzzing.fingerprint(folder) == before)

    with fuzzing.without_training(folder):
        try_line()
    return held


@contextmanager
def new_folder() -> Iterator[Path]:
    """Yield a temporary folder with a short path, as sockets need."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def record(tally: Tally, kind: str, tried: int, held: int) -> None:
    """Record how often a kind of fault was tried and held, and print the row."""
    tally[kind] = [tried, held]
    print(f"{kind:<60} {tried:>5} {held:>5}{'' if tried == held else '  NOT HELD'}", flush=True)


def main(argv: list[str]) -> int:
    """Try all faults, print a table of kind, tried and held, and save it; return 1 if a fault was not held."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks faults", description=__doc__)
    parser.add_argument("--flips", type=count(), default=240)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--lines", type=count(), default=1000)
    args = parser.parse_args(argv)
    tally: Tally = {}
    with new_folder() as folder:
        train("digits-lt", "ce", out=folder / "run", device="cpu", threads=1, epochs=2)
        for name, held in flip_bits(folder / "run", args.flips).items():
            record(tally, f"a flipped bit in {name}", len(held), sum(held))
    for name in hostile.BUILDERS:
        with new_folder() as folder:
            record(tally, f"data: {name}", 1, try_data(folder, name))
    if args.kills:
        with new_folder() as folder:
            record(tally, "a kill -9 and resuming, to the same bits", *kill_runs(folder, args.kills))
    with new_folder() as folder:
        held = fuzz(folder, args.lines)
        record(tally, "a random command line", len(held), sum(held))
    save("faults", {"faults": {kind: {"tried": tried, "held": held} for kind, (tried, held) in tally.items()}})
    return int(any(tried != held for tried, held in tally.values()))
