"""The table of classes: a row a class, for one run with all its models, for several with an accuracy a run."""

from dataclasses import dataclass

from longtail.report.confusions import Pair, most_frequent
from longtail.report.headline import percent, signed
from longtail.report.subject import Subject


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


def one_run(subject: Subject, pairs: list[Pair]) -> ClassTable:
    """Accuracy of the ensemble, mirrored, and of each expert, and what the class is most often taken for."""
    several, long = subject.experts > 1, len(subject.classes) > LONG
    experts = [f"expert_{k}" for k in range(subject.experts)] if several and not long else []
    names, worst = subject.classes.names, most_frequent(pairs)
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
        taken = (names[worst[c].predicted], percent(worst[c].rate)) if c in worst else ("", "")
        return (*(percent(row[voter]) for voter in ("plain", "flip", *experts)), *taken)

    note = "; each expert's is in per_class.csv" if several and long else ""
    return ClassTable(columns, _rows(subject, [cells(c, row) for c, row in enumerate(subject.per_class)]), note)


def several_runs(subjects: list[Subject]) -> ClassTable:
    """Accuracy of each run's ensemble, and the difference of two runs or the range of more."""
    between = "Difference" if len(subjects) == 2 else "Range"
    columns = (FIRST, *(Column(subject.label, bar=True) for subject in subjects), Column(between), LAST)

    def cells(c: int) -> tuple[str, ...]:
        values = [subject.per_class[c]["plain"] for subject in subjects]
        if None in values:
            return (*map(percent, values), "n/a")
        gap = signed(values[1] - values[0]) if len(values) == 2 else percent(max(values) - min(values))
        return (*map(percent, values), gap)

    return ClassTable(columns, _rows(subjects[0], [cells(c) for c in range(len(subjects[0].classes))]))


def _rows(subject: Subject, cells: list[tuple[str, ...]]) -> tuple[ClassRow, ...]:
    classes, tested = subject.classes, [row["test_images"] for row in subject.per_class]
    order = sorted(range(len(classes)), key=lambda c: -classes.counts[c])
    return tuple(
        ClassRow(classes.names[c], classes.groups[c], (f"{classes.counts[c]:,}", *cells[c], f"{tested[c]:,}"))
        for c in order
    )
