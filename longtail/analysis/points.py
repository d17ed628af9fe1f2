"""Many runs as points of one curve: a value of an option, and the accuracies of one seed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.errors import LongtailError


@dataclass(frozen=True)
class Point:
    """One seed's accuracies in percent at `x` of a series; None where the few-shot group has no tested class."""

    series: str
    x: float
    all: float
    few: float | None = None


def build_point(series: str, x: float, outputs: RunOutputs) -> Point:
    """The ensemble of a run, without mirror images."""
    with outputs.run.folder.report_damage("results.json"):
        found = outputs.run.results["plain"]["ensemble"]
        return Point(series, x, found["top1"], found["few"])


def count_experts(outputs: RunOutputs) -> int:
    """K of a run, as its results have it."""
    with outputs.run.folder.report_damage("results.json"):
        return len(outputs.run.results["plain"]["experts"])


def summarize_points(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """A row for each series and x, sorted: mean and (sample) deviation over seeds, nan for the deviation of one seed."""
    cells: dict[tuple[str, float], list[Point]] = {}
    for p in points:
        cells.setdefault((p.series, p.x), []).append(p)
    keys = sorted(cells)
    arrays = {
        "series": np.array([series for series, _ in keys]),
        "x": np.array([x for _, x in keys], dtype=float),
        "seeds": np.array([len(cells[key]) for key in keys]),
    }
    for name in ("all", "few"):
        values = [np.array([getattr(p, name) for p in cells[key]], dtype=float) for key in keys]
        arrays[name] = np.array([v.mean() for v in values])
        arrays[f"{name}_sd"] = np.array([v.std(ddof=1) if len(v) > 1 else np.nan for v in values])
    return arrays


def check_alike(runs: Sequence[RunOutputs], free: tuple[str, ...]) -> None:
    """Raise LongtailError unless runs of one method differ in nothing but their seed and the options that are `free`."""
    first: dict[str, RunOutputs] = {}
    for outputs in runs:
        other = first.setdefault(outputs.recipe.method, outputs)
        here, there = (flatten_settings(e, free) for e in (outputs, other))
        if differing := [key for key in here | there if here.get(key) != there.get(key)]:
            raise LongtailError(
                f"{outputs.run.path} and {other.run.path} differ in {differing[0]}; "
                f"this figure is of runs that differ only in {', '.join(free)} and the seed"
            )


def flatten_settings(outputs: RunOutputs, free: tuple[str, ...]) -> dict:
    """The recipe with all options of the method, those left out too, without the seed and what is free."""
    flat = outputs.recipe.asdict()
    flat |= outputs.recipe.options
    del flat["options"]
    return {key: value for key, value in flat.items() if key not in ("seed", *free)}


def format_seeds(arrays: dict[str, np.ndarray]) -> str:
    """'3 seeds', or '2 to 3 seeds'."""
    low, high = int(arrays["seeds"].min()), int(arrays["seeds"].max())
    return f"{low} to {high} seeds" if low < high else f"{low} seed{'s' * (low > 1)}"
