"""The commands `longtail report` and `longtail figure`."""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from longtail.analysis import FIGURES, draw_figure
from longtail.commands.console import show_file
from longtail.report import write_report


def report(
    *runs: str,
    out: Annotated[
        str | None,
        Parameter(
            help="file to write; by default RUN/report.html, or report-A-B.html beside the first of several runs"
        ),
    ] = None,
    figures: Annotated[
        str, Parameter(help="fast, all (adds those that take minutes), or none of single runs")
    ] = "fast",
    root: Annotated[
        str | None, Parameter(help="folder with the data set's files; by default that of the training")
    ] = None,
) -> None:
    """Write one page, report.html, on a finished run, or on several side by side."""
    path = write_report(runs, out, root=root, figures=figures)
    Console().print(str(path), soft_wrap=True, highlight=False, markup=False)


def figure(
    name: str | None = None,
    /,
    *runs: str,
    out: Annotated[
        str | None, Parameter(help="picture to write (.svg, .png, .pdf); by default figures/NAME.svg of the first run")
    ] = None,
) -> None:
    """List the figures, or draw one of a finished run, or of several side by side, with its numbers beside it."""
    console = Console()
    if name is None:
        table = Table("figure", "Fig. of the paper", "cost", "drawn of", "what it shows")
        for key, entry in FIGURES.items():
            runs_text = "1 run" if entry.runs == "one" else "many runs"
            table.add_row(key, entry.paper, entry.cost, runs_text, entry.caption)
        console.print(table)
        return
    path, words = draw_figure(name, runs, out)
    show_file(console, path, "its numbers are beside it")
    console.print(words, markup=False, highlight=False)
