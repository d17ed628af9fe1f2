"""The command line: each command is a function, and bad input is one line and exit code 2."""

import inspect
import os
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError
from rich.console import Console
from rich.table import Table

from longtail import __version__, api
from longtail.console import ConsoleReport, results_table, show_run
from longtail.errors import LongtailError, unknown
from longtail.inspection.command import inspect as inspect_data
from longtail.methods import METHODS, method_class, options_of
from longtail.recipe import Recipe
from longtail.recipes import DEFAULT, RECIPES, recipe_for
from longtail.seeds import train_seeds
from longtail.train import train as train_run

console = Console()


def whole(kind: type, tokens: tuple) -> int:
    """A whole number as typed; 1.5 is refused, not rounded."""
    if not tokens[0].value.lstrip("+-").isdigit():
        raise ValueError(f"'{tokens[0].value}' is not a whole number")
    return int(tokens[0].value)


def train(
    data: str,
    method: str = "ecl",
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
    device: Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")] = "auto",
    threads: Annotated[int | None, Parameter(help="CPU threads; all cores if left out")] = None,
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
    path = Path(out) if out else api.default_out(resolved)
    where = {"root": root, "resume": resume, "device": device, "threads": threads, "workers": workers}
    if seeds == 1:
        show_run(console, train_run(resolved, path, ConsoleReport(console), **where))
    else:
        console.print(results_table(train_seeds(resolved, seeds, path, ConsoleReport(console), **where)))
        console.print(f"{path / 'seeds.json'}  [dim]the numbers above, and a run folder beside it for each seed[/]")


def evaluate(
    run: str,
    /,
    *,
    root: Annotated[
        str | None, Parameter(help="folder with the data set's files; that of the training if left out")
    ] = None,
    data: Annotated[str | None, Parameter(help="where own data lie now, if they were moved")] = None,
) -> None:
    """Test a finished run's model again, and print its table; nothing is written."""
    model = api.load(run)
    root = root or model.run.read_json("environment.json").get("root")
    recipe = model.recipe.change(data=os.path.abspath(data)) if data else model.recipe
    split = recipe.load(root)
    model.run.check_images(split, "test")
    results = model.evaluate(split).results(model.train_counts)
    with model.run.as_written("results.json"):
        console.print(results_table(model.results | results))


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
        table.add_row(f"--{option.name.replace('_', '-')}", str(option.default).lower(), option.help)
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
            table.add_row(field.name, str(getattr(resolved, field.name)), field.type.__metadata__[0])
    for option, value in resolved.options.items():
        table.add_row(option, str(value), f"option of {resolved.method}")
    console.print(table)


def with_options(method: str):
    """The train command with the recipe's fields and the method's options as flags of their types."""

    def command(*args, **flags):
        return train(*args, **{name: value for name, value in flags.items() if value is not None})

    own = inspect.signature(train)
    flags = {
        f.name: (f.type.__origin__, f.type.__metadata__[0])
        for f in fields(Recipe)
        if f.name not in ("data", "method", "options")
    }
    options = {
        o.name: (o.type, f"{o.help} (default {str(o.default).lower()})")
        for o in options_of(method_class(method)).values()
    }
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                kind | None, Parameter(help=text, group=group, converter=whole if kind in (int, int | None) else None)
            ],
        )
        for group, found in (("Recipe", flags), (f"Options of {method}", options))
        for name, (kind, text) in found.items()
    ]
    kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = own.replace(parameters=[*kept, *added])
    command.__annotations__ = {p.name: p.annotation for p in command.__signature__.parameters.values()}
    command.__doc__ = train.__doc__
    return command


def method_in(words: list[str]) -> str:
    """The method that a train command names: its second word, or any word that is a method if flags come first."""
    if len(words) > 2 and not words[1].startswith("-"):
        return "ecl" if words[2].startswith("-") else words[2]
    return next((word for word in words[1:] if word in METHODS), "ecl")


def application(words: list[str]) -> App:
    """The commands, the flags of `train` being those of the method it is asked for."""
    app = App(
        name="longtail",
        help="Long-tailed image recognition.",
        version=__version__,
        console=console,
        suppress_keyboard_interrupt=False,
    )
    method = method_in(words) if words[:1] == ["train"] else "ecl"
    app.command(with_options(method), name="train")
    for command in (evaluate, methods, recipes):
        app.command(command)
    app.command(inspect_data, name="inspect")
    return app


def explain(error: Exception) -> str:
    """What is wrong, on one line; an unknown flag lists the known ones."""
    if isinstance(error, UnknownOptionError):
        known = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        error = unknown("flag", (error.token.keyword or error.token.value).partition("=")[0], known)
    return " ".join(str(error).split())


def terminate(*_) -> NoReturn:
    """A polite request to stop ends a run as Ctrl-C does."""
    raise KeyboardInterrupt("SIGTERM")


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit: 0, or 2 with one line on standard error for bad input, or 130 or 143 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, terminate)
    try:
        application(words)(words, exit_on_error=False, print_error=False, result_action="return_value")
        code = 0
    except (LongtailError, CycloptsError) as error:
        print(f"longtail: error: {explain(error)}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as stop:
        print(
            "longtail: interrupted; finished epochs are kept, the same command with --resume goes on", file=sys.stderr
        )
        code = 143 if stop.args else 130
    raise SystemExit(code)
