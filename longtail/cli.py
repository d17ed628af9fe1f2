"""The command line: each command is a function, and bad input is one line and exit code 2."""

import errno
import inspect
import io
import os
import signal
import sys
from dataclasses import fields
from typing import Annotated, NoReturn, get_args

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError
from rich.console import Console
from rich.table import Table

from longtail import __version__, api
from longtail.analysis import FIGURES, draw
from longtail.console import reporter, results_table, show_file, show_run
from longtail.data import SOURCES
from longtail.errors import LongtailError, expanded, stopped, unknown
from longtail.flags import COMPLETION, Device, Selected, Threads, as_typed, whole, with_options
from longtail.inspection.command import inspect as inspect_data
from longtail.methods import METHODS, method_class, options_of
from longtail.recipe import Recipe
from longtail.recipes import DEFAULT, RECIPES, recipe_for
from longtail.report import write_report
from longtail.reproduce.command import command as reproduce
from longtail.seeds import train_seeds
from longtail.train import train as train_run
from longtail.use import export, predict
from longtail.world import LostProcess, processes, rank

console = Console(quiet=rank() > 0)  # of several processes only the first speaks


def train(
    data: Annotated[str, Parameter(help=f"{', '.join(SOURCES)}, or the path of a folder, table or list")],
    method: Annotated[str, Parameter(help="one of `longtail methods`")] = "ecl",
    /,
    *,
    recipe: Annotated[str | None, Parameter(help="named recipe to start from; the data set's own if left out")] = None,
    root: Annotated[
        str | None,
        Parameter(help="folder with the files of a known set (or downloaded), or that a table's paths start from"),
    ] = None,
    size: Annotated[
        int | None,
        Parameter(
            help="side in pixels to which own images are brought (64, or as timm says of a --net)", converter=whole
        ),
    ] = None,
    out: Annotated[str | None, Parameter(help="run folder to make; runs/DATA-METHOD-gGAMMA-seedN if left out")] = None,
    seeds: Annotated[
        int, Parameter(help="train so many seeds side by side, --seed being the first", converter=whole)
    ] = 1,
    resume: Annotated[bool, Parameter(help="continue the run in this folder, or begin it", negative="")] = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Annotated[
        int | None,
        Parameter(
            help="processes that decode what does not fit in memory; a core each but one if left out", converter=whole
        ),
    ] = None,
    **changes: object,
) -> None:
    """Train a method on a data set, evaluate it, and keep the run in a folder of its own."""
    resolved = recipe_for(data, recipe, size=size, method=method, **changes)
    path = api.default_out(resolved) if out is None else expanded(out)
    where = {"root": root, "resume": resume, "device": device, "threads": threads, "workers": workers}
    report = reporter(console)
    if seeds == 1:
        run = train_run(resolved, path, report, **where)
        api.keep_report(run.path, report.note)
        show_run(console, run)
    else:
        console.print(results_table(train_seeds(resolved, seeds, path, report, **where)))
        api.keep_report(path, report.note)
        show_file(console, path / "seeds.json", "the numbers above, and a run folder beside it for each seed")
        show_file(console, path / "report.html", "all of it as a page")


def evaluate(
    run: str,
    /,
    *,
    root: Annotated[
        str | None, Parameter(help="folder with the data set's files; that of the training if left out")
    ] = None,
    data: Annotated[str | None, Parameter(help="where own data lie now, if they were moved")] = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Test a finished run's model again, and print its table; nothing is written."""
    model = api.load(run, selected=selected, device=device, threads=threads)
    recipe = model.recipe.change(data=os.path.abspath(data)) if data else model.recipe
    results = model.evaluate(model.run.load_data(recipe, root)).results(model.train_counts)
    with model.run.as_written("results.json"):
        there = model.results
        console.print(results_table(there | results, there["selected"]["epoch"] if selected else None))


def report(
    *runs: str,
    out: Annotated[
        str | None,
        Parameter(help="file to write; RUN/report.html, or report-A-B.html beside the first of several runs"),
    ] = None,
    figures: Annotated[
        str, Parameter(help="fast, all (adds those that take minutes), or none of single runs")
    ] = "fast",
    root: Annotated[
        str | None, Parameter(help="folder with the data set's files; that of the training if left out")
    ] = None,
) -> None:
    """Write one page, report.html, on a finished run, or on several side by side."""
    path = write_report(runs, out, root=root, figures=figures)
    console.print(str(path), soft_wrap=True, highlight=False, markup=False)


def methods(name: str | None = None, /) -> None:
    """List the methods, or show one with its options, defaults and sources."""
    if name is None:
        table = Table("method", "paper", "year", "family", "cost")
        for key, entry in METHODS.items():
            table.add_row(key, entry.paper, str(entry.year or ""), entry.family, entry.cost)
        console.print(table)
        return
    kind = method_class(name)
    entry = METHODS[name]
    console.print(f"[bold]{name}[/]: {entry.paper} {entry.year or ''}. {inspect.getdoc(kind)}", highlight=False)
    table = Table("option", "default", "what it is (source)")
    for option in options_of(kind).values():
        choices = " or ".join(map(str, get_args(option.type)))
        text = f"{option.help}: {choices}" if choices else option.help
        table.add_row(f"--{option.name.replace('_', '-')}", str(option.default).lower(), text)
    console.print(table)


def recipes(name: str | None = None, /) -> None:
    """List the recipes, or show one."""
    if name is None:
        table = Table("recipe", "default for", "what it is")
        for key, module in RECIPES.items():
            table.add_row(key, ", ".join(d for d, r in DEFAULT.items() if r == key), inspect.getdoc(module))
        console.print(table)
        return
    data = next((d for d, r in DEFAULT.items() if r == name), "digits-lt")
    resolved = recipe_for(data, name)
    console.print(f"[bold]{name}[/]: {inspect.getdoc(RECIPES[name])}", highlight=False)
    table = Table("field", "value", "what it is")
    for field in fields(Recipe):
        if field.name not in ("data", "method", "options"):
            value = getattr(resolved, field.name)
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            table.add_row(field.name, shown, field.type.__metadata__[0])
    for option, value in resolved.options.items():
        table.add_row(option, str(value), f"option of {resolved.method}")
    console.print(table)


def figure(
    name: str | None = None,
    /,
    *runs: str,
    out: Annotated[
        str | None, Parameter(help="picture to write (.svg, .png, .pdf); figures/NAME.svg of the first run if left out")
    ] = None,
) -> None:
    """List the figures, or draw one of a finished run, or of several side by side, with its numbers beside it."""
    if name is None:
        table = Table("figure", "Fig. of the paper", "cost", "of", "what it shows")
        for key, entry in FIGURES.items():
            table.add_row(
                key, entry.paper, entry.cost, f"{entry.runs} run{'s' * (entry.runs == 'many')}", entry.caption
            )
        console.print(table)
        return
    path, words = draw(name, runs, out)
    show_file(console, path, "its numbers are beside it")
    console.print(words, markup=False, highlight=False)


def application(words: list[str]) -> App:
    """The commands, the flags of `train` being those of the method it is asked for."""
    app = App(
        name="longtail",
        help="Long-tailed image recognition.",
        version=__version__,
        console=console,
        suppress_keyboard_interrupt=False,
    )
    app.register_install_completion_command(COMPLETION, help="Let the shell complete commands, flags and names on Tab.")
    app.command(with_options(train, words), name="train")
    for command in (evaluate, predict, export, report, figure, methods, recipes):
        app.command(command)
    app.command(reproduce, name="reproduce")
    app.command(inspect_data, name="inspect")
    return app


def explain(error: Exception) -> str:
    """What is wrong, on one line; an unknown flag lists the known ones, and a wrong value names the flag as typed."""
    if isinstance(error, OSError):
        error = LongtailError(f"{str(error.filename)[:60]}... cannot be a path: {error.strerror.lower()}")
    if isinstance(error, UnknownOptionError):
        known = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        flag = (error.token.keyword or error.token.value).partition("=")[0]
        error = unknown("flag", flag, known)
        name = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
        if owners := [method for method in METHODS if name in options_of(method_class(method))]:
            error = LongtailError(f"{flag} is an option of {', '.join(owners)}, not of the method asked for")
    return as_typed(" ".join(str(error).split()))


def terminate(*_) -> NoReturn:
    """A polite request to stop ends a run as Ctrl-C does."""
    raise KeyboardInterrupt("SIGTERM")


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit: 0, 2 with one line on standard error for bad input, 3 if only some images were, 130 or 143."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be bytes that no terminal can show
    try:
        code = application(words)(words, exit_on_error=False, print_error=False, result_action="return_value") or 0
    except (LongtailError, CycloptsError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            raise  # nothing that was typed
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends anyway, and torchrun asks those that lost another to
        if rank() == 0 or isinstance(error, LostProcess):
            print(f"longtail: error: {explain(error)}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as stop:
        code = 143 if stop.args else 130
        why = "stopped by torchrun, whose own lines say which process ended" if processes() > 1 else "interrupted"
        if rank() == 0:
            raise stopped(why, code) from None
    raise SystemExit(code)
