"""The commands `longtail report` and `longtail figure`."""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from longtail.commands.console import show_file
from longtail.commands.flags import Root


def report(
    *runs: str,
    out: Annotated[
        str | None,
        Parameter(
            help="file to write; by default RUN/report.html or, for several runs, report-A-B.html beside the first"
        ),
    ] = None,
    figures: Annotated[
        str, Parameter(help="figures of each run: fast, all (with the figures that take minutes), or none")
    ] = "fast",
    root: Root = None,
) -> None:
    """Write report.html for a finished run, or for several side by side."""
    from longtail.report import write_report

    path = write_report(runs, out, root=root, figures=figures)
    Console().print(str(path), soft_wrap=True, highlight=False, markup=False)


def figure(
    name: str | None = None,
    /,
    *runs: str,
    out: Annotated[
        str | None, Parameter(help="file to write (.svg, .png, .pdf); by default figures/NAME.svg of the first run")
    ] = None,
) -> None:
    """List the figures, or draw one from finished runs and save its numbers."""
    from longtail.analysis import FIGURES, draw_figure

    console = Console()
    if name is None:
        table = Table("figure", "Fig. of the paper", "cost", "needs", "shows")
        for key, entry in FIGURES.items():
            runs_text = "1 run" if entry.runs == "one" else "many runs"
            table.add_row(key, entry.paper, entry.cost, runs_text, entry.caption)
        console.print(table)
        return
    path, caption = draw_figure(name, runs, out)
    show_file(console, path, "its numbers are in the file beside it")
    console.print(caption, markup=False, highlight=False)
