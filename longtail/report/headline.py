"""The seven metrics of every model of a run, and of several runs side by side."""

from dataclasses import dataclass

from longtail.metrics import METRICS
from longtail.report.summary import RunSummary

LOWER_IS_BETTER = {"ece"}
GROUPS = {"balanced": "all classes", "many": "many", "medium": "medium", "few": "few"}

NAMES = dict(zip(METRICS, ("Top-1", "Balanced", "Many", "Medium", "Few", "Worst class", "ECE"), strict=True))
MEANINGS = {
    "top1": "Percentage of the test images that are classified correctly.",
    "balanced": "Mean of the class accuracies. Each class counts the same, whatever its number of test images.",
    "many": "Mean accuracy of the classes with more than 100 training images.",
    "medium": "Mean accuracy of the classes with 20 to 100 training images.",
    "few": "Mean accuracy of the classes with fewer than 20 training images, the tail of the distribution.",
    "worst": "Accuracy of the class with the lowest accuracy.",
    "ece": "Expected calibration error: the mean gap between confidence and accuracy over 15 bins of confidence, in "
    "percentage points. Lower is better.",
}


def format_percent(value: float | None) -> str:
    """Format a percentage with one decimal, None as "n/a"."""
    return "n/a" if value is None else f"{value:.1f}"


def format_signed(value: float | None) -> str:
    """Format a difference with one decimal and a sign (a true minus; 0.0 has none), None as "n/a"."""
    if value is None:
        return "n/a"
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Row:
    """A model in a table: {mean, sd} or None for each of METRICS; `main` marks the ensemble, `how` is plain or flip."""

    name: str
    numbers: dict[str, dict | None]
    main: bool
    how: str


def build_rows(summary: RunSummary) -> list[Row]:
    """Build the rows of the ensemble and each expert, first without and then with flip TTA."""
    rows = []
    for how, note in (("plain", ""), ("flip", ", flip TTA")):
        numbers = summary.metrics[how]
        if summary.experts == 1:
            rows.append(Row(f"Single network{note}", numbers["ensemble"], True, how))
            continue
        rows.append(Row(f"Ensemble of {summary.experts}{note}", numbers["ensemble"], True, how))
        rows += [Row(f"Expert {k}{note}", n, False, how) for k, n in enumerate(numbers["experts"], 1)]
    return rows


def find_best(summaries: list[RunSummary], how: str) -> dict[str, tuple[set[int], str]]:
    """Find the best runs for each metric that all runs have; runs that print the same number are equal.

    The lead over the second run is "clear" above two standard errors of the difference of their means, else "close", and
    "open" where a run has a single seed.
    """
    best = {}
    for metric in METRICS:
        numbers = [summary.metrics[how]["ensemble"][metric] for summary in summaries]
        if None in numbers:
            continue
        sign = -1 if metric in LOWER_IS_BETTER else 1
        order = sorted(range(len(numbers)), key=lambda i: -sign * numbers[i]["mean"])
        gap = abs(numbers[order[0]]["mean"] - numbers[order[1]]["mean"])
        error = compute_standard_error(summaries[order[0]], summaries[order[1]], how, metric)
        # runs that print the same number are all marked
        winners = {i for i in order if format_percent(numbers[i]["mean"]) == format_percent(numbers[order[0]]["mean"])}
        best[metric] = (winners, "open" if error is None else "clear" if gap > 2 * error else "close")
    return best


def compute_standard_error(a: RunSummary, b: RunSummary, how: str, metric: str) -> float | None:
    """Compute the standard error of the difference of two means over seeds; None if a run has a single seed."""
    total = 0.0  # variances of two independent means add up
    for summary in (a, b):
        sd = summary.metrics[how]["ensemble"][metric]["sd"]
        if sd is None:
            return None
        total += sd**2 / len(summary.seeds)
    return total**0.5


def compute_differences(summaries: list[RunSummary]) -> list[tuple[str, dict[str, dict | None]]]:
    """Compute each run minus the first, as {mean, sd} or None for each metric of the ensembles without flip TTA.

    `sd` is the standard error of the difference.
    """
    first, differences = summaries[0], []
    for other in summaries[1:]:
        numbers = {}
        for metric in METRICS:
            a, b = (s.metrics["plain"]["ensemble"][metric] for s in (first, other))
            is_known = a is not None and b is not None
            error = compute_standard_error(first, other, "plain", metric) if is_known else None
            numbers[metric] = {"mean": b["mean"] - a["mean"], "sd": error} if is_known else None
        differences.append((f"{other.label} \N{MINUS SIGN} {first.label}", numbers))
    return differences


@dataclass(frozen=True)
class GroupBars:
    """A group of classes: its size, and for each run a label, the accuracy or None, and the accuracies of the experts."""

    name: str
    classes: int
    smallest: int
    largest: int
    bars: tuple[tuple[str, float | None, tuple[float, ...]], ...]


def build_group_bars(summaries: list[RunSummary]) -> list[GroupBars]:
    """Build the bars of all classes and of each group that has classes; accuracy is the mean of class accuracies."""
    classes, groups = summaries[0].classes, []
    for metric, name in GROUPS.items():
        counts = [n for n, g in zip(classes.counts, classes.groups, strict=True) if metric in ("balanced", g)]
        if counts:
            bars = tuple((s.label, *get_accuracies(s, metric)) for s in summaries)
            groups.append(GroupBars(name, len(counts), min(counts), max(counts), bars))
    return groups


def get_accuracies(summary: RunSummary, metric: str) -> tuple[float | None, tuple[float, ...]]:
    """Return the mean accuracy of the ensemble, or None, and of each expert."""
    plain = summary.metrics["plain"]
    if plain["ensemble"][metric] is None:
        return None, ()
    single = [expert[metric]["mean"] for expert in plain["experts"]]
    return plain["ensemble"][metric]["mean"], tuple(single) if summary.experts > 1 else ()
