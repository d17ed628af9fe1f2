"""The class table of a report: all models of one run, or one accuracy column for each of several runs."""

from dataclasses import dataclass

from longtail.report.confusions import Pair, find_most_frequent
from longtail.report.headline import format_percent, format_signed
from longtail.report.summary import RunSummary


@dataclass(frozen=True)
class Column:
    """A column of numbers or text; `bar` draws percentages as bars."""

    name: str
    kind: str = "number"
    bar: bool = False


@dataclass(frozen=True)
class ClassRow:
    """A row: the name and group of a class, and the cells of the columns after these two."""

    name: str
    group: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class ClassTable:
    """The columns after class and group, rows by falling training count, and a note on omitted columns."""

    columns: tuple[Column, ...]
    rows: tuple[ClassRow, ...]
    note: str = ""


LONG = 2000  # classes; a longer table omits the experts to keep the page small
FIRST, LAST = Column("Training images"), Column("Test images")


def build_class_table(summary: RunSummary, pairs: list[Pair]) -> ClassTable:
    """Build the table of one run: accuracy of the ensemble, with flip TTA and of each expert; the main confusion."""
    is_ensemble, is_long = summary.experts > 1, len(summary.classes) > LONG
    experts = [f"expert_{k}" for k in range(summary.experts)] if is_ensemble and not is_long else []
    names, worst = summary.classes.names, find_most_frequent(pairs)
    columns = (
        FIRST,
        Column("Ensemble" if is_ensemble else "Accuracy", bar=True),
        Column("Flip TTA"),
        *(Column(f"Expert {k}") for k, _ in enumerate(experts, 1)),
        Column("Most often confused with", "text"),
        Column("Share confused"),
        LAST,
    )

    def build_cells(c: int, row: dict) -> tuple[str, ...]:
        confused = (names[worst[c].predicted], format_percent(worst[c].rate)) if c in worst else ("", "")
        return (*(format_percent(row[model]) for model in ("plain", "flip", *experts)), *confused)

    note = "; per_class.csv has the accuracy of each expert" if is_ensemble and is_long else ""
    cells = [build_cells(c, row) for c, row in enumerate(summary.per_class)]
    return ClassTable(columns, build_class_rows(summary, cells), note)


def build_comparison_table(summaries: list[RunSummary]) -> ClassTable:
    """Build the table of several runs: accuracy of each ensemble, and the difference of two runs or the range of more."""
    between = "Difference" if len(summaries) == 2 else "Range"
    columns = (FIRST, *(Column(summary.label, bar=True) for summary in summaries), Column(between), LAST)

    def build_cells(c: int) -> tuple[str, ...]:
        values = [summary.per_class[c]["plain"] for summary in summaries]
        if None in values:
            return (*map(format_percent, values), "n/a")
        gap = format_signed(values[1] - values[0]) if len(values) == 2 else format_percent(max(values) - min(values))
        return (*map(format_percent, values), gap)

    cells = [build_cells(c) for c in range(len(summaries[0].classes))]
    return ClassTable(columns, build_class_rows(summaries[0], cells))


def build_class_rows(summary: RunSummary, cells: list[tuple[str, ...]]) -> tuple[ClassRow, ...]:
    """Build a row for each class, with training and test images around its cells; most training images first."""
    classes, tested = summary.classes, [row["test_images"] for row in summary.per_class]
    order = sorted(range(len(classes)), key=lambda c: -classes.counts[c])
    return tuple(
        ClassRow(classes.names[c], classes.groups[c], (f"{classes.counts[c]:,}", *cells[c], f"{tested[c]:,}"))
        for c in order
    )
