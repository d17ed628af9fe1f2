"""Points of a curve over many runs: the value of an option, and the accuracies of one seed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.errors import LongtailError
from longtail.wording import format_count


@dataclass(frozen=True)
class Point:
    """The accuracies of one seed in percent at `x` of a series, of the ensemble and on average of its single experts.

    `few` and `single_few` are None if no few-shot class has test images.
    """

    series: str
    x: float
    all: float
    few: float | None = None
    single: float | None = None
    single_few: float | None = None


ACCURACIES = ("all", "few", "single", "single_few")


def build_point(series: str, x: float, outputs: RunOutputs) -> Point:
    """Return the point of a run: accuracies without flip TTA."""
    with outputs.run.folder.report_damage("results.json"):
        plain = outputs.run.results["plain"]
        singles = [[expert[key] for expert in plain["experts"]] for key in ("top1", "few")]
        means = [None if None in values else sum(values) / len(values) for values in singles]
        return Point(series, x, plain["ensemble"]["top1"], plain["ensemble"]["few"], *means)


def count_experts(outputs: RunOutputs) -> int:
    """Return the number of experts K in the results of a run."""
    with outputs.run.folder.report_damage("results.json"):
        return len(outputs.run.results["plain"]["experts"])


def summarize_points(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """Compute a row for each series and x, sorted: mean and sample standard deviation over seeds.

    Returns series, x, seeds, and a mean and a deviation (`..._sd`) for each of `ACCURACIES`; the deviation of a single
    seed is nan.
    """
    cells: dict[tuple[str, float], list[Point]] = {}
    for p in points:
        cells.setdefault((p.series, p.x), []).append(p)
    keys = sorted(cells)
    arrays = {
        "series": np.array([series for series, _ in keys]),
        "x": np.array([x for _, x in keys], dtype=float),
        "seeds": np.array([len(cells[key]) for key in keys]),
    }
    # float turns None, a few-shot group without test images, into nan
    for name in ACCURACIES:
        values = [np.array([getattr(p, name) for p in cells[key]], dtype=float) for key in keys]
        arrays[name] = np.array([v.mean() for v in values])
        arrays[f"{name}_sd"] = np.array([v.std(ddof=1) if len(v) > 1 else np.nan for v in values])
    return arrays


def check_alike(runs: Sequence[RunOutputs], free: tuple[str, ...]) -> None:
    """Raise LongtailError if runs of one method differ in more than the seed and the options named in `free`, or not at all."""
    first: dict[str, RunOutputs] = {}
    seen: dict[str, RunOutputs] = {}
    for outputs in runs:
        same = seen.setdefault(repr((outputs.recipe.asdict(), outputs.recipe.options)), outputs)
        if same is not outputs:
            raise LongtailError(f"{outputs.run.path} and {same.run.path} are of one seed and recipe; leave one out")
        other = first.setdefault(outputs.recipe.method, outputs)
        settings, others = (flatten_settings(each, free) for each in (outputs, other))
        if differing := [key for key in settings | others if settings.get(key) != others.get(key)]:
            raise LongtailError(
                f"{outputs.run.path} and {other.run.path} differ in {differing[0]}; "
                f"this figure takes runs that differ only in {', '.join(free)} and the seed"
            )


def flatten_settings(outputs: RunOutputs, free: tuple[str, ...]) -> dict:
    """Return the fields of the recipe and all options of the method, without the seed and the names in `free`."""
    flat = outputs.recipe.asdict()
    flat |= outputs.recipe.options
    del flat["options"]
    return {key: value for key, value in flat.items() if key not in ("seed", *free)}


def format_seeds(arrays: dict[str, np.ndarray]) -> str:
    """Return the number of seeds as '3 seeds' or '2 to 3 seeds'."""
    low, high = int(arrays["seeds"].min()), int(arrays["seeds"].max())
    return f"{low} to {high} seeds" if low < high else format_count(low, "seed")
