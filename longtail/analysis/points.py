"""Many runs as points of one curve: a value of an option, and the accuracies of one seed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from longtail.analysis.evidence import Evidence
from longtail.errors import LongtailError


@dataclass(frozen=True)
class Point:
    """One seed's accuracies in percent at `x` of a series; None where the few-shot group has no tested class."""

    series: str
    x: float
    all: float
    few: float | None = None


def point(series: str, x: float, evidence: Evidence) -> Point:
    """The ensemble of a run, without mirror images."""
    with evidence.run.as_written("results.json"):
        found = evidence.results["plain"]["ensemble"]
        return Point(series, x, found["top1"], found["few"])


def number_of_experts(evidence: Evidence) -> int:
    """K of a run, as its results have it."""
    with evidence.run.as_written("results.json"):
        return len(evidence.results["plain"]["experts"])


def summary(points: Iterable[Point]) -> dict[str, np.ndarray]:
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


def check_alike(evidences: Sequence[Evidence], free: tuple[str, ...]) -> None:
    """Raise LongtailError unless runs of one method differ in nothing but their seed and the options that are `free`."""
    first: dict[str, Evidence] = {}
    for evidence in evidences:
        other = first.setdefault(evidence.recipe.method, evidence)
        here, there = (settings(e, free) for e in (evidence, other))
        if differing := [key for key in here | there if here.get(key) != there.get(key)]:
            raise LongtailError(
                f"{evidence.run.path} and {other.run.path} differ in {differing[0]}; "
                f"this figure is of runs that differ only in {', '.join(free)} and the seed"
            )


def settings(evidence: Evidence, free: tuple[str, ...]) -> dict:
    """The recipe with all options of the method, those left out too, without the seed and what is free."""
    flat = evidence.recipe.asdict()
    flat |= evidence.recipe.options
    del flat["options"]
    return {key: value for key, value in flat.items() if key not in ("seed", *free)}


def seeds_text(arrays: dict[str, np.ndarray]) -> str:
    """'3 seeds', or '2 to 3 seeds'."""
    low, high = int(arrays["seeds"].min()), int(arrays["seeds"].max())
    return f"{low} to {high} seeds" if low < high else f"{low} seed{'s' * (low > 1)}"
