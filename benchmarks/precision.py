"""The accuracy of bf16 against fp32, seed by seed, on the same data and recipe."""

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.harness import count, parse_value, save
from longtail.commands.console import ConsoleReport
from longtail.recipes import recipe_for
from longtail.seeds import train_seeds

MEASURED = ("top1", "few", "ece")


def read_ensembles(folder: Path) -> list[dict]:
    """Return the metrics of the ensemble for each seed."""
    runs = sorted(folder.glob("seed*/results.json"))
    return [json.loads(run.read_text())["plain"]["ensemble"] for run in runs]


def main(argv: list[str]) -> None:
    """Train both precisions with the same seeds, and report the paired differences with their standard error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks precision", description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--root")
    parser.add_argument("--seeds", type=count(2), default=5)
    parser.add_argument("--threads", type=count(), default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="changes of the recipe")
    args = parser.parse_args(argv)
    changes = {name: parse_value(value) for name, value in (s.split("=", 1) for s in args.set)}
    recipe = recipe_for(args.data, eval_every=0, **changes)
    results: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp32", "bf16"):
            out, report = Path(folder) / precision, ConsoleReport(Console())
            where = {"root": args.root, "threads": args.threads}
            train_seeds(recipe.change(precision=precision), args.seeds, out, report, **where)
            results[precision] = read_ensembles(out)
    record: dict[str, Any] = {"recipe": recipe.asdict(), **results, "paired": {}}
    for name in MEASURED:
        if results["fp32"][0][name] is not None:
            gaps = [half[name] - full[name] for full, half in zip(results["fp32"], results["bf16"], strict=True)]
            error = statistics.stdev(gaps) / math.sqrt(len(gaps))
            record["paired"][name] = {"mean": statistics.mean(gaps), "standard_error": error}
            fp32 = statistics.mean(full[name] for full in results["fp32"])
            print(f"{name}: fp32 {fp32:.2f}, bf16 - fp32 {statistics.mean(gaps):+.2f} +- {error:.2f} (standard error)")
    save(f"precision-{args.data}", record)
