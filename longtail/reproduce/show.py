"""A table from the ledger: ours beside the paper's, missing cells visible."""

import csv
import io
import statistics
from dataclasses import dataclass

from longtail.errors import LongtailError
from longtail.reproduce.cells import Cell
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.tables import Row, Setting, Table


@dataclass(frozen=True)
class Line:
    """One number of a table: its place, the mean and sd over the seeds that are there, and the printed value."""

    row: str
    column: str
    values: tuple[float, ...]
    wanted: int
    paper: float | None

    @property
    def mean(self) -> float | None:
        return statistics.mean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        return None if self.paper is None or self.mean is None else self.mean - self.paper

    def __str__(self) -> str:
        """Such as "55.9 ± 0.3 (3/5) [56.3]": seeds there of those asked for, unless all are, and the printed value."""
        if self.mean is None:
            ours = "missing"
        else:
            ours = f"{self.mean:.1f}" + (f" ± {self.sd:.1f}" if self.sd is not None else "")
            ours += f" ({len(self.values)}/{self.wanted})" if len(self.values) < self.wanted else ""
        return ours if self.paper is None else f"{ours} [{self.paper:g}]"


def get_measurement(kept: dict, path: str) -> float | None:
    """A number of a cell: its minutes of training, or one of its results by its path; "single" is the mean over experts."""
    if path == "minutes":
        return kept["seconds"] / 60
    results, (how, who, name) = kept["results"], path.split(".")
    if who == "single":
        values = [expert[name] for expert in results[how]["experts"]]
        return None if None in values else statistics.mean(values)
    return results[how][who][name]


def build_lines(table: Table, cells: list[Cell], ledger: Ledger) -> list[Line]:
    """Every number of a table in the order of its rows; corrupt files count as missing."""
    found: dict[tuple[str, str], list[dict]] = {}
    wanted: dict[tuple[str, str], int] = {}
    for cell in cells:
        place = (cell.row.label, cell.setting.heading)
        wanted[place] = wanted.get(place, 0) + 1
        try:
            kept = ledger.read(cell)
        except LongtailError:
            kept = None
        found.setdefault(place, []).extend([kept] if kept else [])
    lines = []
    for row in table.rows:
        for setting in table.settings:
            place = (row.label, setting.heading)
            if place in wanted:
                lines += [
                    _build_line(row, setting, name, path, found[place], wanted[place])
                    for name, path in setting.measures.items()
                ]
    return lines


def _build_line(row: Row, setting: Setting, name: str, path: str, found: list[dict], wanted: int) -> Line:
    column = ", ".join(part for part in (setting.heading, name) if part)
    values = [get_measurement(kept, path) for kept in found]
    return Line(row.label, column, tuple(v for v in values if v is not None), wanted, row.paper.get(column))


def build_grid(lines: list[Line]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of text."""
    columns = list(dict.fromkeys(line.column for line in lines))
    rows = {
        row: {line.column: str(line) for line in lines if line.row == row}
        for row in dict.fromkeys(line.row for line in lines)
    }
    return columns, [[row, *(of.get(column, "") for column in columns)] for row, of in rows.items()]


def as_markdown(lines: list[Line]) -> str:
    """A table in Markdown."""
    columns, rows = build_grid(lines)
    head = ["", *columns]
    body = [head, ["---", *("---:" for _ in columns)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in body) + "\n"


def as_csv(lines: list[Line]) -> str:
    """A line for each number: row, column, mean, sd, seeds, wanted, paper, difference."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "column", "ours", "sd", "seeds", "seeds_wanted", "paper", "difference"])
    for line in lines:
        writer.writerow(
            [line.row, line.column, line.mean, line.sd, len(line.values), line.wanted, line.paper, line.difference]
        )
    return text.getvalue()
