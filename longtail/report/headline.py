"""The seven numbers of every model of a run, and of several runs side by side."""

from dataclasses import dataclass

from longtail.metrics import METRICS
from longtail.report.summary import RunSummary

LOWER_IS_BETTER = {"ece"}
GROUPS = {"balanced": "all classes", "many": "many", "medium": "medium", "few": "few"}

NAMES = dict(
    zip(METRICS, ("Top-1", "Balanced", "Many", "Medium", "Few", "Worst class", "Calibration error"), strict=True)
)
MEANINGS = {
    "top1": "Percent of all test images that got their own class.",
    "balanced": "Mean of the accuracies of the classes, so that each class counts the same however many test images it has.",
    "many": "Mean accuracy of the classes with more than 100 training images.",
    "medium": "Mean accuracy of the classes with 20 to 100 training images.",
    "few": "Mean accuracy of the classes with fewer than 20 training images: the tail that long-tailed methods are made for.",
    "worst": "Accuracy of the class that fares worst.",
    "ece": "Expected calibration error: how far confidence and accuracy are apart, averaged over 15 bins of confidence, in "
    "points of percent; lower is better.",
}


def format_percent(value: float | None) -> str:
    """One decimal, n/a for None."""
    return "n/a" if value is None else f"{value:.1f}"


def format_signed(value: float | None) -> str:
    """One decimal with its sign, a true minus, and none for 0.0."""
    if value is None:
        return "n/a"
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


@dataclass(frozen=True)
class Row:
    """A model in a table: {mean, sd} or None for each of METRICS; `main` for the ensemble, `how` plain or flip."""

    name: str
    numbers: dict[str, dict | None]
    main: bool
    how: str


def build_rows(summary: RunSummary) -> list[Row]:
    """The ensemble and each expert, plain and then mirrored; a single network has one row each."""
    found = []
    for how, note in (("plain", ""), ("flip", ", mirrored")):
        numbers = summary.metrics[how]
        if summary.experts == 1:
            found.append(Row(f"single network{note}", numbers["ensemble"], True, how))
            continue
        found.append(Row(f"ensemble of {summary.experts}{note}", numbers["ensemble"], True, how))
        found += [Row(f"expert {k}{note}", n, False, how) for k, n in enumerate(numbers["experts"], 1)]
    return found


def find_best(summaries: list[RunSummary], how: str) -> dict[str, tuple[set[int], str]]:
    """For each metric that all have, the best runs, equal as printed, and whether that is clear, close or open.

    A lead over the runner-up is clear above two standard errors of the difference of their means, and open for want of seeds.
    """
    found = {}
    for metric in METRICS:
        numbers = [summary.metrics[how]["ensemble"][metric] for summary in summaries]
        if None in numbers:
            continue
        sign = -1 if metric in LOWER_IS_BETTER else 1
        order = sorted(range(len(numbers)), key=lambda i: -sign * numbers[i]["mean"])
        gap = abs(numbers[order[0]]["mean"] - numbers[order[1]]["mean"])
        error = compute_standard_error(summaries[order[0]], summaries[order[1]], how, metric)
        winners = {i for i in order if format_percent(numbers[i]["mean"]) == format_percent(numbers[order[0]]["mean"])}
        found[metric] = (winners, "open" if error is None else "clear" if gap > 2 * error else "close")
    return found


def compute_standard_error(a: RunSummary, b: RunSummary, how: str, metric: str) -> float | None:
    """Of the difference of two means over seeds; None where either has a single seed."""
    total = 0.0
    for summary in (a, b):
        sd = summary.metrics[how]["ensemble"][metric]["sd"]
        if sd is None:
            return None
        total += sd**2 / len(summary.seeds)
    return total**0.5


def compute_differences(summaries: list[RunSummary]) -> list[tuple[str, dict[str, dict | None]]]:
    """Every other run less the first, plain ensembles: {mean, sd} with the standard error for sd, None where either has none."""
    first, found = summaries[0], []
    for other in summaries[1:]:
        numbers = {}
        for metric in METRICS:
            a, b = (s.metrics["plain"]["ensemble"][metric] for s in (first, other))
            known = a is not None and b is not None
            error = compute_standard_error(first, other, "plain", metric) if known else None
            numbers[metric] = {"mean": b["mean"] - a["mean"], "sd": error} if known else None
        found.append((f"{other.label} \N{MINUS SIGN} {first.label}", numbers))
    return found


@dataclass(frozen=True)
class GroupBars:
    """A group of classes: its size, and the accuracy of each run with those of its experts, None where there is none."""

    name: str
    classes: int
    smallest: int
    largest: int
    bars: tuple[tuple[str, float | None, tuple[float, ...]], ...]


def build_group_bars(summaries: list[RunSummary]) -> list[GroupBars]:
    """All classes, then each group that has classes; accuracy is the mean of its classes' accuracies."""
    classes, found = summaries[0].classes, []
    for metric, name in GROUPS.items():
        counts = [n for n, g in zip(classes.counts, classes.groups, strict=True) if metric in ("balanced", g)]
        if counts:
            bars = tuple((s.label, *_accuracy(s, metric)) for s in summaries)
            found.append(GroupBars(name, len(counts), min(counts), max(counts), bars))
    return found


def _accuracy(summary: RunSummary, metric: str) -> tuple[float | None, tuple[float, ...]]:
    plain = summary.metrics["plain"]
    if plain["ensemble"][metric] is None:
        return None, ()
    single = [expert[metric]["mean"] for expert in plain["experts"]]
    return plain["ensemble"][metric]["mean"], tuple(single) if summary.experts > 1 else ()
