"""A table from the ledger as text, Markdown or CSV: our numbers beside the printed ones, with missing cells visible."""

import csv
import io
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from longtail.errors import LongtailError
from longtail.reproduce.cells import Cell
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.rows import Row, Setting, Table
from longtail.reproduce.systems import MARKS, OURS, parse_marks

NOT_RUN = "-"  # in a cell whose runs are not finished


@dataclass(frozen=True)
class Line:
    """One number of a table: row and column, the values of the finished seeds, the seeds wanted, and the printed value.

    `wanted` is 0 in a row that cannot be run.
    """

    row: str
    column: str
    values: tuple[float, ...]
    wanted: int
    paper: float | None
    group: str = ""
    marks: str = ""
    is_undefined: bool = (
        False  # runs are finished and have no such number, such as few-shot accuracy without such classes
    )

    @property
    def mean(self) -> float | None:
        """Return the mean over seeds, None if no seed is finished."""
        return statistics.mean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """Return the sample standard deviation over seeds, None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """Return our mean minus the printed value, None where either is missing."""
        return None if self.paper is None or self.mean is None else self.mean - self.paper

    def __str__(self) -> str:
        """Format the number, such as "55.9 ± 0.3 (3/5) [56.3]": (finished/wanted) seeds if some are missing, [printed].

        A printed value that is not known from the paper, but published elsewhere, is marked as in "[56.3 p]".
        """
        if not self.wanted:
            ours = "cannot be run"
        elif self.mean is None:
            ours = "n/a" if self.is_undefined else NOT_RUN
        else:
            ours = format_mean(self.values)
            ours += f" ({len(self.values)}/{self.wanted})" if len(self.values) < self.wanted else ""
        elsewhere = " p" if "p" in parse_marks(self.marks) else ""
        return ours if self.paper is None else f"{ours} [{self.paper:g}{elsewhere}]"


def format_mean(values: Sequence[float]) -> str:
    """Format the mean and, of several values, the sample standard deviation, such as "55.9 ± 0.3"."""
    sd = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{sd}"


def get_measurement(kept: dict, path: str) -> float | None:
    """Return one number of a cell by its path in the results, or its minutes or seconds of training.

    The path is "MODE.MODEL.METRIC", such as "plain.ensemble.top1"; the model "single" is the mean over experts.
    """
    if path in ("minutes", "seconds"):
        return kept["seconds"] / (60 if path == "minutes" else 1)
    results, (mode, model, metric) = kept["results"], path.split(".")
    if model == "single":
        values = [expert[metric] for expert in results[mode]["experts"]]
        return None if None in values else statistics.mean(values)
    return results[mode][model][metric]


def build_lines(table: Table, cells: list[Cell], ledger: Ledger) -> list[Line]:
    """Return every number of a table in the order of its rows; an unusable file counts as missing."""
    finished: dict[tuple[str, str], list[dict]] = {}
    wanted: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        key = (cell.row.label, cell.setting.heading)
        wanted[key] += 1
        try:
            cell_result = ledger.read(cell)
        except LongtailError:
            cell_result = None
        finished.setdefault(key, []).extend([cell_result] if cell_result else [])
    lines = []
    is_whole = {row for row, _ in wanted} == {row.label for row in table.rows if not row.reason}
    for row, setting in product(table.rows, table.settings):
        key = (row.label, setting.heading)
        if key in wanted or (row.reason and is_whole):
            measures, runs = setting.measures.items(), finished.get(key, [])
            lines += [_build_line(row, setting, name, path, runs, wanted[key]) for name, path in measures]
    return lines


def _build_line(row: Row, setting: Setting, name: str, path: str, finished: list[dict], wanted: int) -> Line:
    column = ", ".join(filter(None, (setting.heading, name)))
    values = [get_measurement(kept, path) for kept in finished]
    numbers = tuple(v for v in values if v is not None)
    is_undefined = bool(finished) and not numbers
    return Line(row.label, column, numbers, wanted, row.paper.get(column), row.group, row.marks, is_undefined)


def build_grid(lines: list[Line]) -> tuple[list[str], list[list[str]]]:
    """Return the column headings and the rows of a table, each row with its label first; group and marks where rows have any."""
    columns = list(dict.fromkeys(line.column for line in lines))
    first, last = (["group"] * any(line.group for line in lines), ["marks"] * any(line.marks for line in lines))
    cells: dict[str, dict[str, str]] = {}
    for line in lines:
        row = cells.setdefault(line.row, {"group": line.group, "marks": line.marks})
        row[line.column] = "" if not line.wanted and line.paper is None else str(line)
    columns = [*first, *columns, *last]
    return columns, [[label, *(row.get(column, "") for column in columns)] for label, row in cells.items()]


def as_markdown(lines: list[Line]) -> str:
    """Format a table as Markdown."""
    columns, rows = build_grid(lines)
    head = ["", *columns]
    body = [head, ["---", *("---" if column in ("group", "marks") else "---:" for column in columns)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in body) + "\n"


def format_measured(lines: list[Line]) -> str:
    """Format the rows and columns that have a measured number as Markdown, and name the others below."""
    rows = {line.row for line in lines if line.values}
    columns = {line.column for line in lines if line.values}
    kept = [line for line in lines if line.row in rows and line.column in columns]
    text = as_markdown(kept)
    for kind, names in (("rows", [line.row for line in lines]), ("columns", [line.column for line in lines])):
        if empty := [name for name in dict.fromkeys(names) if name not in rows | columns]:
            text += f"\nNo run is finished of the {kind} {'; '.join(empty)}.\n"
    return text


def describe_printed(table: Table) -> str:
    """Return the line that says what the paper shows, "" for a table of ours."""
    return f"In the paper: {table.printed}." if table.printed else ""


def describe_marks(table: Table) -> str:
    """Return what the marks of a table mean and why a row cannot be run, "" for a table without marks."""
    marks = {mark for row in table.rows for mark in parse_marks(row.marks)}
    if not any(row.marks for row in table.rows):
        return ""
    reasons = "".join(f" {row.label} cannot be run: {row.reason}." for row in table.rows if row.reason)
    text = "; ".join(f"{mark}: {meaning}" for mark, meaning in MARKS.items() if mark in marks)
    return f"Marks of printed values: {text}; then epochs x views of an image, and networks at test. Ours: {OURS}.{reasons}"


def as_csv(lines: list[Line]) -> str:
    """Format a table as CSV with a line per number: row, column, mean, sd, seeds, seeds wanted, paper, difference, marks."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "column", "ours", "sd", "seeds", "seeds_wanted", "paper", "difference", "marks"])
    for line in lines:
        writer.writerow(
            [
                *(line.row, line.column, line.mean, line.sd, len(line.values), line.wanted),
                *(line.paper, line.difference, line.marks),
            ]
        )
    return text.getvalue()
