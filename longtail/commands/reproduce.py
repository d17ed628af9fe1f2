"""`longtail reproduce`: run and show the tables and figures of the paper."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table as Grid

from longtail.commands.console import build_report
from longtail.errors import LongtailError, unknown_name
from longtail.reproduce.cells import build_cells, format_scale
from longtail.reproduce.draw import draw_table_figure
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.page import render_page
from longtail.reproduce.run import Progress, parse_budget, reproduce
from longtail.reproduce.show import Line, as_csv, as_markdown, build_grid, build_lines
from longtail.reproduce.tables import SCALES, TABLES

FORMATS = ("text", "markdown", "csv")


def reproduce_command(
    table: Annotated[
        str | None, Parameter(help="table or figure, or all with --show; they are listed if left out")
    ] = None,
    /,
    *,
    show: Annotated[bool, Parameter(help="print what the ledger holds and run nothing", negative="")] = False,
    scale: Annotated[str, Parameter(help="the recipe as printed (full), or a smaller one")] = "full",
    only: Annotated[str | None, Parameter(help="rows whose label fits this pattern, such as 'ecl*'")] = None,
    seeds: Annotated[int | None, Parameter(help="seeds a row; those of the table and scale if left out")] = None,
    budget: Annotated[str | None, Parameter(help="stop after this time, such as 9m; the next call goes on")] = None,
    ledger: Annotated[str, Parameter(help="folder of the finished cells")] = "ledger",
    precision: Annotated[str, Parameter(help="fp32, tf32 or bf16; never mixed in one table")] = "fp32",
    root: Annotated[str | None, Parameter(help="folder with the data sets, such as ROOT/cifar100")] = None,
    format: Annotated[str, Parameter(help="of the printed table: text, markdown or csv")] = "text",
    device: Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int | None, Parameter(help="CPU threads; all cores if left out")] = None,
) -> None:
    """Run the missing cells of a table or figure of the paper, and print it with the paper's values beside ours."""
    console = Console()
    if table is None:
        listing = Grid("table", "what it is", "cells", "seeds")
        for name, entry in TABLES.items():
            listing.add_row(
                name, entry.title, str(len(entry.rows) * len(entry.settings) * entry.seeds), str(entry.seeds)
            )
        console.print(listing)
        return
    if table == "all":
        if not show:
            raise LongtailError("all tables together can only be shown: add --show, or name one table to run")
        asked = {"scale": scale != "full", "only": only, "seeds": seeds, "precision": precision != "fp32"}
        asked["format"] = format not in ("text", "markdown")
        if flags := [f"--{flag}" for flag, given in asked.items() if given]:
            raise LongtailError(f"all shows all that is kept, as Markdown; leave {' and '.join(flags)} out")
        print(render_page(Ledger(ledger)), end="")
        return
    for kind, name, known in (
        ("table", table, [*TABLES, "all"]),
        ("scale", scale, SCALES),
        ("format", format, FORMATS),
    ):
        if name not in known:
            raise unknown_name(kind, name, known)
    if seeds is not None and seeds < 1:
        raise LongtailError(f"seeds is {seeds}; it is the number of runs of each row, at least 1")
    wanted = TABLES[table]
    cells = list(build_cells(wanted, scale, seeds, precision, only))
    if not cells:
        raise LongtailError(f"no row of {table} fits '{only}'; its rows are {', '.join(r.label for r in wanted.rows)}")
    kept, progress = Ledger(ledger), Progress()
    if not show:
        limit = parse_budget(budget) if budget else float("inf")
        progress = reproduce(
            cells,
            kept,
            build_report(console),
            budget=limit,
            root=root,
            device=device,
            threads=threads,
            say=console.print,
        )
    title = f"{wanted.title}; scale {format_scale(scale, precision)}, last epoch, in brackets the paper's"
    print_lines(console, title, build_lines(wanted, cells, kept), format)
    if wanted.figure and format == "text":
        path, words = draw_table_figure(table, wanted.figure, cells, kept)
        console.print(f"{path}  [dim]{words}[/]", highlight=False)
    if progress.failed:
        raise LongtailError(
            f"{progress.failed} of the cells failed, as said above; the others are kept in {Path(ledger)}"
        )


def print_lines(console: Console, title: str, lines: list[Line], format: str) -> None:
    """A table on the terminal, or as text for a file."""
    if format != "text":
        print(as_csv(lines) if format == "csv" else f"{title}\n\n{as_markdown(lines)}", end="")
        return
    columns, rows = build_grid(lines)
    table = Grid("", *columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    console.print(table)
