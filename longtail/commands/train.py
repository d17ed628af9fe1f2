"""The command `longtail train`, whose flags are the fields of a recipe and the options of the method asked for."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from longtail.commands.flags import COMPLETION, Device, Threads, parse_integer
from longtail.data.catalog import SOURCES
from longtail.errors import LongtailError, expand_path
from longtail.methods import METHODS, get_options
from longtail.ranks import get_rank
from longtail.recipe import describe_fields
from longtail.recipes import default_fields, recipe_for

Flags = dict[str, tuple[Any, str, str]]  # type, help and group of each flag by its Python name


def train(
    data: Annotated[str, Parameter(help=f"{', '.join(SOURCES)}, or the path of a folder, table or list")],
    method: Annotated[str, Parameter(help="one of `longtail methods`, or MODULE:CLASS")] = "ecl",
    /,
    *,
    recipe: Annotated[str | None, Parameter(help="named recipe to start from; by default the data set's own")] = None,
    root: Annotated[
        str | None,
        Parameter(help="folder with the files of a known set (else they are downloaded), or of a table's paths"),
    ] = None,
    size: Annotated[
        int | None,
        Parameter(
            help="side in pixels of custom images (64 by default, or as timm says of a --net)", converter=parse_integer
        ),
    ] = None,
    out: Annotated[str | None, Parameter(help="run folder to make; by default runs/DATA-METHOD-gGAMMA-seedN")] = None,
    seeds: Annotated[
        int, Parameter(help="number of seeds to train side by side, --seed being the first", converter=parse_integer)
    ] = 1,
    resume: Annotated[bool, Parameter(help="continue the run in this folder, or begin it", negative="")] = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Annotated[
        int | None,
        Parameter(
            help="processes that decode what does not fit in memory; by default one less than cores",
            converter=parse_integer,
        ),
    ] = None,
    **changes: object,
) -> None:
    """Train a method on a data set, evaluate it, and keep the run in a folder of its own."""
    resolved = recipe_for(data, recipe, size=size, method=method, **changes)  # errors of typing, before torch is loaded
    from longtail import api
    from longtail.commands.console import build_report, build_results_table, show_file, show_run
    from longtail.distributed import keep_freed_memory
    from longtail.launch import train as launch
    from longtail.seeds import train_seeds

    path = api.default_run_path(resolved) if out is None else expand_path(out)
    where = {"root": root, "resume": resume, "device": device, "threads": threads, "workers": workers}
    keep_freed_memory()
    console = Console(quiet=get_rank() > 0)
    report = build_report(console)
    if seeds == 1:
        run = launch(resolved, path, report, **where)
        api.write_run_report(run.path, report.note)
        show_run(console, run)
    else:
        console.print(build_results_table(train_seeds(resolved, seeds, path, report, **where)))
        api.write_run_report(path, report.note)
        show_file(console, path / "seeds.json", "the numbers above, and a run folder beside it for each seed")
        show_file(console, path / "report.html", "all of it as a page")


def add_method_flags(command: Callable, tokens: list[str]) -> Callable:
    """Return the command with its `**changes` replaced by the flags of what the tokens ask for.

    The tokens are parsed twice: first with the flags of all methods, to find data set, method and recipe; then, by the
    application, with the flags of that method and the defaults of that recipe in their help.
    """
    data, method, recipe = find_choices(command, tokens[1:]) if tokens[:1] == ["train"] else (None, "ecl", None)
    try:
        defaults = default_fields(data, recipe, method)
    except LongtailError:  # raised again by the command itself
        defaults = {}
    flags: Flags = {}
    for name, (kind, text, *_) in describe_fields().items():
        if name not in ("data", "method", "options"):
            default = f" (default {str(defaults[name]).lower()})" if name in defaults else ""
            flags[name] = kind, text + default, "Recipe"
    for option in get_options(method).values():
        default = defaults.get(option.name, option.default)
        text = f"{option.help} (default {str(default).lower()})"
        flags[option.name] = option.type, text, f"Options of {method}"
    # for tab completion the known names are choices, not any text
    choices = {"data": Literal[*SOURCES] | Path, "method": Literal[*METHODS]} if tokens[:1] == [COMPLETION] else {}
    return replace_changes(command, flags, choices)


def find_choices(command: Callable, tokens: list[str]) -> tuple[str | None, str, str | None]:
    """Return the data set, method and recipe that the tokens of a train command name, wherever flags stand."""
    flags: Flags = {name: (bool if kind is bool else str, "", "") for name, (kind, *_) in describe_fields().items()}
    for name in METHODS:
        for option in get_options(name).values():
            flags[option.name] = bool if option.type is bool else str, "", ""
    for name in ("data", "method", "options"):
        del flags[name]
    probe = App(help_flags=[], version_flags=[], exit_on_error=False, print_error=False)
    probe.default(replace_changes(command, flags, {"data": str | None}, {"data": None}, plain=True))
    try:
        _, bound, *_ = probe.parse_known_args(tokens)
    except CycloptsError:  # found again, and explained, by the real parser
        return None, "ecl", None
    data, method = (*bound.args, None, None)[:2]
    return data, method or "ecl", bound.kwargs.get("recipe")


def replace_changes(
    command: Callable, flags: Flags, types: dict[str, Any], defaults: dict[str, Any] | None = None, plain: bool = False
) -> Callable:
    """Return the command with a signature in which its `**changes` are spelled out as flags.

    `types` and `defaults` replace those of some parameters; `plain` takes all values as text, for a first parse.
    """

    def call(*args: object, **values: object) -> object:
        return command(*args, **{name: value for name, value in values.items() if value is not None})

    own, kept, defaults = inspect.signature(command), [], defaults or {}
    for parameter in own.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        annotation = types.get(parameter.name, parameter.annotation)
        if plain and parameter.name not in types and annotation.__origin__ is not bool:
            annotation = str | None
        default = defaults.get(parameter.name, parameter.default)
        kept.append(parameter.replace(annotation=annotation, default=default))
    for name, (kind, text, group) in flags.items():
        converter = parse_integer if kind is int else None
        annotation = Annotated[kind | None, Parameter(help=text, group=group or None, converter=converter)]
        kept.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    call.__signature__ = own.replace(parameters=kept)
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in kept}
    call.__doc__ = command.__doc__
    return call
