"""The reference of all methods, from the table of contents, the docstrings and the measured cells in results/ledger."""

from pathlib import Path
from typing import get_args

from longtail.commands.listings import format_printed, read_method_docstring
from longtail.methods import METHODS, get_options
from longtail.methods.options import Option
from longtail.reproduce.cells import build_cells
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.show import Line, build_lines
from longtail.reproduce.tables import TABLES

LEDGER = Path(__file__).resolve().parents[2] / "results" / "ledger"
MEASURED = {  # table, its scale and how a reader calls it
    "frozen-caltech": ("frozen", "Caltech-101, tail of 100, features of EfficientNet-lite0"),
    "methods": ("full", "digits-lt, tail of 50, from random weights"),
}
COLUMNS = ("top-1", "many", "medium", "few", "ECE")


def render_methods() -> str:
    """Return a section for each method: paper, cost, options with their sources, and our numbers."""
    measured = read_numbers()
    return "\n".join(render_method(name, measured) for name in METHODS)


def render_method(name: str, measured: dict[tuple[str, str], dict[str, str]]) -> str:
    """Return the section of one method as Markdown."""
    entry = METHODS[name]
    paper = entry.paper if entry.year is None else f"{entry.paper} {entry.year}"
    head = f"### {name}\n\n*{paper}.* Family: {entry.family}. In training: {entry.cost}."
    if printed := format_printed(name):
        head += f" Table I of ECL prints a top-1 of {printed} on CIFAR-100-LT, imbalance 100."
    return "\n\n".join([head, read_method_docstring(name), format_options(name), format_numbers(name, measured), ""])


def format_options(name: str) -> str:
    """Return the options of a method as a table."""
    rows = [format_option(option) for option in get_options(name).values()]
    return "\n".join(["| option | default | meaning (source) |", "|---|---|---|", *rows]) if rows else "No options."


def format_option(option: Option) -> str:
    """Return the row of an option: flag, default, and meaning with the choices there are."""
    choices = " or ".join(f"`{choice}`" for choice in get_args(option.type))
    text = f"{option.help}: {choices}" if choices else option.help
    flag = option.name.replace("_", "-")
    return f"| `--{flag}` | `{str(option.default).lower()}` | {escape_cell(text)} |"


def escape_cell(text: str) -> str:
    """Return a text that stays in one cell of a table and starts no emphasis."""
    return text.replace("|", "\\|").replace("*", "\\*")


def read_numbers() -> dict[tuple[str, str], dict[str, str]]:
    """Read mean ± sd over seeds by table and method, and by column; methods without a finished run are missing."""
    numbers: dict[tuple[str, str], dict[str, str]] = {}
    for name, (scale, _) in MEASURED.items():
        methods = {row.label: row.changes["method"] for row in TABLES[name].rows if "method" in row.changes}
        for line in read_lines(name, scale):
            if line.values and line.row in methods:
                numbers.setdefault((name, methods[line.row]), {})[line.column] = format_line(line)
    return numbers


def read_lines(table: str, scale: str) -> list[Line]:
    """Read all numbers of a table from the ledger of this repository."""
    return build_lines(TABLES[table], list(build_cells(TABLES[table], scale)), Ledger(LEDGER))


def format_line(line: Line) -> str:
    """Return the mean and the spread of a number, without the value that the paper prints."""
    return str(line).partition(" [")[0]


def format_numbers(name: str, measured: dict[tuple[str, str], dict[str, str]]) -> str:
    """Return our numbers of a method as a table, or a line that says that there are none."""
    rows = []
    for table, (scale, title) in MEASURED.items():
        if found := measured.get((table, name)):
            command = f"`longtail reproduce {table} --scale {scale}`"
            rows.append(f"| {title} ({command}) | " + " | ".join(found.get(column, "") for column in COLUMNS) + " |")
    head = ["| our numbers, % of test images | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    return "\n".join([*head, *rows]) if rows else "We have not measured this method on these two sets yet."
