"""The table of classes: a row a class, for one run with all its models, for several with an accuracy a run."""

from dataclasses import dataclass

from longtail.report.confusions import Pair, find_most_frequent
from longtail.report.headline import format_percent, format_signed
from longtail.report.summary import RunSummary


@dataclass(frozen=True)
class Column:
    """A column of numbers or text; `bar` draws its percentages."""

    name: str
    kind: str = "number"
    bar: bool = False


@dataclass(frozen=True)
class ClassRow:
    """A class: its name, group, and cells in the order of the columns that follow these two."""

    name: str
    group: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class ClassTable:
    """Columns after class and group, rows by falling training count, and what is left out of a long table."""

    columns: tuple[Column, ...]
    rows: tuple[ClassRow, ...]
    note: str = ""


LONG = 2000  # classes, above which the experts are left out for the size of the page
FIRST, LAST = Column("Training images"), Column("Test images")


def build_class_table(summary: RunSummary, pairs: list[Pair]) -> ClassTable:
    """Accuracy of the ensemble, mirrored, and of each expert, and what the class is most often taken for."""
    several, long = summary.experts > 1, len(summary.classes) > LONG
    experts = [f"expert_{k}" for k in range(summary.experts)] if several and not long else []
    names, worst = summary.classes.names, find_most_frequent(pairs)
    columns = (
        FIRST,
        Column("Ensemble" if several else "Accuracy", bar=True),
        Column("Mirrored"),
        *(Column(f"Expert {k}") for k, _ in enumerate(experts, 1)),
        Column("Most often taken for", "text"),
        Column("Share taken"),
        LAST,
    )

    def cells(c: int, row: dict) -> tuple[str, ...]:
        taken = (names[worst[c].predicted], format_percent(worst[c].rate)) if c in worst else ("", "")
        return (*(format_percent(row[voter]) for voter in ("plain", "flip", *experts)), *taken)

    note = "; each expert's is in per_class.csv" if several and long else ""
    return ClassTable(columns, _rows(summary, [cells(c, row) for c, row in enumerate(summary.per_class)]), note)


def build_comparison_table(summaries: list[RunSummary]) -> ClassTable:
    """Accuracy of each run's ensemble, and the difference of two runs or the range of more."""
    between = "Difference" if len(summaries) == 2 else "Range"
    columns = (FIRST, *(Column(summary.label, bar=True) for summary in summaries), Column(between), LAST)

    def cells(c: int) -> tuple[str, ...]:
        values = [summary.per_class[c]["plain"] for summary in summaries]
        if None in values:
            return (*map(format_percent, values), "n/a")
        gap = format_signed(values[1] - values[0]) if len(values) == 2 else format_percent(max(values) - min(values))
        return (*map(format_percent, values), gap)

    return ClassTable(columns, _rows(summaries[0], [cells(c) for c in range(len(summaries[0].classes))]))


def _rows(summary: RunSummary, cells: list[tuple[str, ...]]) -> tuple[ClassRow, ...]:
    classes, tested = summary.classes, [row["test_images"] for row in summary.per_class]
    order = sorted(range(len(classes)), key=lambda c: -classes.counts[c])
    return tuple(
        ClassRow(classes.names[c], classes.groups[c], (f"{classes.counts[c]:,}", *cells[c], f"{tested[c]:,}"))
        for c in order
    )
