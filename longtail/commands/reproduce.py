"""The command `longtail reproduce`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Column
from rich.table import Table as Grid

from longtail.commands.console import build_report, show_file
from longtail.commands.flags import Device, Threads, parse_integer
from longtail.commands.verify import accept_cell, verify_cell
from longtail.errors import LongtailError, escape_controls, unknown_name
from longtail.reproduce.cells import build_cells, format_scale
from longtail.reproduce.tables import SCALES, TABLES, fits_scale

if TYPE_CHECKING:
    from longtail.reproduce.show import Line

MAX_LABEL = 18  # letters of a row that is never wrapped
FORMATS = ("text", "markdown", "csv")
TAKEN = {
    "all": {"--show"},
    "claims": {"--show"},
    "verify": {"CELL", "--root", "--attach", "--submit"},
    "accept": {"CELL", "--root", "--by"},
}


def reproduce_command(
    table: Annotated[
        str | None,
        Parameter(help="table, figure, claims, verify, accept, or all with --show; by default all are listed"),
    ] = None,
    cell: Annotated[
        str | None,
        Parameter(help="verify: a cell, the first letters of its name are enough; accept: a submitted zip file"),
    ] = None,
    /,
    *,
    show: Annotated[bool, Parameter(help="print the numbers in the ledger and train nothing", negative="")] = False,
    scale: Annotated[
        str | None, Parameter(help="the printed recipe (full), or a smaller one; by default the table's first")
    ] = None,
    only: Annotated[
        str | None, Parameter(help="only rows or data sets whose heading fits this pattern: 'ecl*', 'cifar*'")
    ] = None,
    seeds: Annotated[
        int | None,
        Parameter(help="seeds of each row; by default as many as the table and scale have", converter=parse_integer),
    ] = None,
    budget: Annotated[str | None, Parameter(help="stop after this time, such as 9m; the next call continues")] = None,
    ledger: Annotated[str, Parameter(help="folder of the finished cells")] = "ledger",
    precision: Annotated[str, Parameter(help="fp32, tf32 or bf16; never mixed in one table")] = "fp32",
    root: Annotated[str | None, Parameter(help="folder with the data sets, such as ROOT/cifar100")] = None,
    format: Annotated[str, Parameter(help="format of the printed table: text, markdown or csv")] = "text",
    device: Device = "auto",
    threads: Threads = None,
    attach: Annotated[bool, Parameter(help="verify: keep the predictions in the ledger", negative="")] = False,
    submit: Annotated[str | None, Parameter(help="verify: write cell and predictions to this zip file")] = None,
    by: Annotated[str | None, Parameter(help="accept: who sent the file")] = None,
) -> None:
    """Train the missing runs of a table or figure of the paper, and print our values beside the printed ones."""
    console = Console()
    if table is None:
        console.print(list_tables())
        return
    given = {
        "CELL": cell,
        "--show": show,
        "--scale": scale,
        "--only": only,
        "--seeds": seeds,
        "--budget": budget,
    }
    given |= {"--precision": precision != "fp32", "--root": root, "--format": format not in ("text", "markdown")}
    given |= {"--device": device != "auto", "--threads": threads, "--attach": attach, "--submit": submit, "--by": by}
    if table == "all" and not show:
        raise LongtailError("all tables together can only be shown: add --show, or name one table to run")
    taken = TAKEN.get(table, given.keys() - {"CELL", "--attach", "--submit", "--by"})
    if unused := [name for name, is_given in given.items() if is_given and name not in taken]:
        raise LongtailError(f"`longtail reproduce {table}` does not take {' and '.join(unused)}; leave it out")
    if table == "all":
        print_page(ledger)
        return
    if table == "claims":
        show_claims(console, ledger, format)
        return
    if table == "verify":
        verify_cell(console, ledger, cell, root, attach, submit)
        return
    if table == "accept":
        accept_cell(console, ledger, cell, by, root)
        return
    scale = check_choices(table, scale, format, seeds)
    from longtail.machine import keep_freed_memory
    from longtail.reproduce.draw import draw_table_figure
    from longtail.reproduce.ledger import Ledger
    from longtail.reproduce.run import Progress, parse_budget, reproduce
    from longtail.reproduce.show import build_lines, describe_marks, describe_printed

    entry, kept = TABLES[table], Ledger(ledger)
    cells = list(build_cells(entry, scale, seeds, precision, only))
    if not cells:
        names = [row.label for row in entry.rows] + [setting.heading for setting in entry.settings if setting.heading]
        raise LongtailError(f"nothing in {table} fits '{only}'; its rows and data sets are {', '.join(names)}")
    progress = Progress()
    if not show:
        keep_freed_memory()
        limit = parse_budget(budget) if budget else float("inf")
        where: dict[str, Any] = {"budget": limit, "root": root, "device": device, "threads": threads}
        say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
        with build_report(console) as report:
            progress = reproduce(cells, kept, report, say=say, **where)
    title = f"{entry.title}; scale {format_scale(scale, precision)}, last epoch, printed values in brackets, - not run"
    print_lines(console, title, build_lines(entry, cells, kept), format)
    if format == "text" and (marks := describe_marks(entry)):
        console.print(escape(marks), highlight=False)
    if entry.figure and format == "text":
        path, caption = draw_table_figure(table, entry.figure, cells, kept)
        show_file(console, path, escape(caption))
        console.print(escape(describe_printed(entry)), highlight=False)
    if progress.failed:
        raise LongtailError(
            f"{progress.failed} of the cells failed, for the reasons above; the finished ones are kept in {Path(ledger)}"
        )


def print_page(ledger: str) -> None:
    """Print the whole ledger as Markdown."""
    from longtail.reproduce.ledger import Ledger
    from longtail.reproduce.page import render_page

    print(*map(escape_controls, render_page(Ledger(ledger)).split("\n")), sep="\n", end="")


def show_claims(console: Console, path: str, format: str) -> None:
    """Print what the ledger says of each claim of the paper, and draw it."""
    from longtail.reproduce.claims import PICTURE, find_all, render_claims
    from longtail.reproduce.forest import draw_forest
    from longtail.reproduce.ledger import Ledger

    ledger = Ledger(path)
    if not (findings := find_all(ledger)):
        raise LongtailError(
            f"{path} holds no two runs that a claim of the paper compares; run `longtail reproduce evidence`"
        )
    if format == "markdown":
        print("\n".join(render_claims(findings)))
        return
    grid = Grid("claim", "where", "difference, verdict", title="The claims of the paper", title_justify="left")
    last = None
    for found in findings:
        cells = "" if found.claim is last else found.claim.text, found.place.heading, str(found)
        grid.add_row(*(escape(cell.replace("**", "").replace("`", "")) for cell in cells))
        last = found.claim
    console.print(grid)
    draw_forest(findings, ledger.path / "figures" / PICTURE)
    show_file(console, ledger.path / "figures" / PICTURE, "difference and 95 % interval over seeds of each claim")


def list_tables() -> Grid:
    """Build the list of all tables, with the numbers of their cells and seeds."""
    listing = Grid("table", "title", "cells", "seeds")
    for name, entry in TABLES.items():
        rows = sum(1 for row in entry.rows if not row.reason)
        cells = rows * sum(min(entry.seeds, setting.seeds or entry.seeds) for setting in entry.settings)
        listing.add_row(name, entry.title, str(cells), str(entry.seeds))
    return listing


def check_choices(table: str, scale: str | None, format: str, seeds: int | None) -> str:
    """Return the scale; raises LongtailError for an unknown table, scale or format, or for fewer seeds than one."""
    if table not in TABLES:
        raise unknown_name("table", table, [*TABLES, "all", "claims", "verify", "accept"])
    if scale is not None and scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    if scale is not None and not fits_scale(TABLES[table], scale):
        fitting = ", ".join(name for name in SCALES if fits_scale(TABLES[table], name))
        raise LongtailError(f"{table} is not measured at scale {scale}; its scales are {fitting}")
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    if seeds is not None and seeds < 1:
        raise LongtailError(f"seeds is {seeds}; it is the number of runs of each row, at least 1")
    return scale or TABLES[table].scales[0]


def print_lines(console: Console, title: str, lines: "list[Line]", format: str) -> None:
    """Print a table on the terminal, or as Markdown or CSV."""
    from longtail.reproduce.show import as_csv, as_markdown, build_grid

    if format != "text":
        print(as_csv(lines) if format == "csv" else f"{title}\n\n{as_markdown(lines)}", end="")
        return
    columns, rows = build_grid(lines)
    grid = Grid(Column("", no_wrap=all(len(row[0]) <= MAX_LABEL for row in rows), overflow="fold"), *columns)
    console.print(escape(title), highlight=False)
    for row in rows:
        grid.add_row(*map(escape, row))
    console.print(grid)
