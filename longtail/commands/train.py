"""The command `longtail train`, whose flags are the fields of a recipe and the options of the chosen method."""

import inspect
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from longtail.commands.flags import COMPLETION, Device, Threads, parse_integer
from longtail.data.catalog import SOURCES
from longtail.errors import LongtailError, expand_path
from longtail.methods import METHODS, check_options, get_options
from longtail.ranks import get_rank
from longtail.recipe import describe_fields
from longtail.recipes import choose_method, choose_recipe, default_fields, recipe_for
from longtail.validation import Range, check_value

NOT_FLAGS = {"data", "method", "options"}  # fields of a recipe that are arguments, or flags one by one


def train(
    data: Annotated[
        str, Parameter(help=f"{', '.join(SOURCES)}, the path of a folder, table or list, or hf:owner/name")
    ],
    method: Annotated[
        str | None,
        Parameter(help="one of `longtail methods`, or MODULE:CLASS; by default ecl, on custom data logit_adjustment"),
    ] = None,
    /,
    *,
    recipe: Annotated[str | None, Parameter(help="named recipe to start from; by default that of the data set")] = None,
    root: Annotated[
        str | None,
        Parameter(help="folder with the files of a known set (else they are downloaded), or of a table's paths"),
    ] = None,
    size: Annotated[
        int | None,
        Parameter(
            help="side in pixels of custom images; by default that of a --net of timm, such as 224, and 64 from scratch",
            converter=parse_integer,
        ),
    ] = None,
    out: Annotated[str | None, Parameter(help="new run folder; by default runs/DATA-METHOD-gGAMMA-seedN")] = None,
    seeds: Annotated[
        int, Parameter(help="number of seeds to train side by side, from --seed on", converter=parse_integer)
    ] = 1,
    resume: Annotated[bool, Parameter(help="continue the run in its folder, or begin one", negative="")] = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Annotated[
        int | None,
        Parameter(
            help="processes that decode images that do not fit in memory; by default one less than cores",
            converter=parse_integer,
        ),
    ] = None,
    cache: Annotated[
        str | None, Parameter(help="folder of cached features; by default $LONGTAIL_CACHE or ~/.cache/longtail")
    ] = None,
    slim: Annotated[
        bool, Parameter(help="do not keep the frozen encoder in the run, only its hash", negative="")
    ] = False,
    minutes: Annotated[
        float | None, Parameter(help="time to take: fits epochs and, on frozen features, the size of images")
    ] = None,
    **changes: Any,
) -> None:
    """Train a method on a data set, evaluate the model, and keep the run in a new folder."""
    # errors of typing come first; the imports below load torch
    check_value("seeds", seeds, int, Range(1))
    if minutes is not None and seeds > 1:
        raise LongtailError("minutes is of one run; leave --minutes or --seeds out")
    method = method or choose_method(recipe or choose_recipe(data, changes))
    options = get_options(method)
    check_options(method, options, {name: changes[name] for name in options if name in changes})
    resolved = recipe_for(data, recipe, size=size, method=method, **changes)
    from longtail import api
    from longtail.commands.console import build_report, build_results_table, show_file, show_run
    from longtail.launch import train as launch
    from longtail.machine import keep_freed_memory
    from longtail.seeds import train_seeds

    path = api.default_run_path(resolved) if out is None else expand_path(out)
    where: dict[str, Any] = {"root": root, "resume": resume, "device": device, "threads": threads, "workers": workers}
    where |= {"cache": cache}
    keep_freed_memory()
    console = Console(quiet=get_rank() > 0)
    with build_report(console) as report:
        if minutes is not None:
            from longtail.budget import fit_minutes

            given = changes.keys() | ({"size"} if size is not None else set())
            resolved = fit_minutes(resolved, minutes, given, path, report, **where)
        where["slim"] = slim
        if seeds == 1:
            run = launch(resolved, path, report, **where)
        else:
            results = train_seeds(resolved, seeds, path, report, **where)
            table = build_results_table(results, flips=resolved.transform_set.has_flips)
        api.write_run_report(path, report)
    if seeds == 1:
        show_run(console, run)
    else:
        console.print(table)
        show_file(console, path / "seeds.json", "the numbers above; each seed has a run folder beside the file")
        show_file(console, path / "report.html", "the whole report, with figures")


def add_method_flags(command: Callable, tokens: list[str]) -> Callable:
    """Return the command with its `**changes` replaced by flags for the fields of a recipe and the options of a method.

    The tokens name the method, and the data set and recipe whose defaults the help shows.
    """
    data, method, recipe = find_choices(tokens[1:]) if tokens[:1] == ["train"] else (None, "ecl", None)
    try:
        defaults = default_fields(data, recipe, method)
    except LongtailError:  # the command itself raises the same error
        defaults = {}
    flags = []
    for name, (kind, text, *_) in describe_fields().items():
        if name not in NOT_FLAGS:
            default = f" (default {str(defaults[name]).lower()})" if name in defaults else ""
            flags.append(make_flag(name, kind, text + default, "Recipe"))
    taken = {parameter.name for parameter in flags} | inspect.signature(command).parameters.keys()
    for option in get_options(method).values():
        if option.name in taken:
            raise LongtailError(
                f"option {option.name} of {method} has the name of a flag of longtail train; rename it in the method"
            )
        default = defaults.get(option.name, option.default)
        text = f"{option.help} (default {str(default).lower()})"
        flags.append(make_flag(option.name, option.type, text, f"Options of {method}"))
    # tab completion offers the known names
    choices = {"data": Literal[*SOURCES] | Path, "method": Literal[*METHODS]} if tokens[:1] == [COMPLETION] else {}

    def call(*arguments: object, **values: object) -> object:  # cyclopts passes only the flags that are given
        return command(*arguments, **values)

    *given, _ = inspect.signature(command).parameters.values()
    given = [parameter.replace(annotation=choices.get(parameter.name, parameter.annotation)) for parameter in given]
    call.__doc__ = command.__doc__
    return set_signature(call, [*given, *flags])


def set_signature(function: Any, parameters: list[inspect.Parameter]) -> Callable:
    """Set the parameters that cyclopts reads from a function; returns the function."""
    function.__signature__ = inspect.Signature(parameters)
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def make_flag(name: str, kind: Any, text: str, group: str) -> inspect.Parameter:
    """Make the parameter of a flag that is None where the user leaves the flag out."""
    converter = parse_integer if kind is int else None
    annotation = Annotated[kind | None, Parameter(help=text, group=group or None, converter=converter)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def find_choices(tokens: list[str]) -> tuple[str | None, str, str | None]:
    """Return the data set, method and recipe that the tokens after `train` name, wherever flags stand.

    This is the first of two parses: the flags of a method are known only once the method is. So all flags that any
    built-in method has are declared here, with values as plain text.
    """
    kinds = {name: kind for name, (kind, *_) in describe_fields().items()}
    kinds |= {option.name: option.type for method in METHODS for option in get_options(method).values()}
    kinds |= {
        name: parameter.annotation.__origin__
        for name, parameter in inspect.signature(train).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    flags = [
        make_flag(name, bool if kind is bool else str, "", "") for name, kind in kinds.items() if name not in NOT_FLAGS
    ]
    # unknown flags, of methods that are not built in, and --help count as words
    annotation = Annotated[str, Parameter(allow_leading_hyphen=True)]
    words = inspect.Parameter("words", inspect.Parameter.VAR_POSITIONAL, annotation=annotation)

    def accept(*words: str, **values: Any) -> None: ...

    probe = App(help_flags=[], version_flags=[], exit_on_error=False, print_error=False)
    probe.default(set_signature(accept, [words, *flags]))
    try:
        _, bound, *_ = probe.parse_known_args(tokens)
    except CycloptsError:  # the second parse raises the same error, and explains it
        return None, "ecl", None
    pairs = [pair for pair in pairwise(["", *bound.args]) if not pair[1].startswith("-")]
    data, *others = [word for _, word in pairs] or [None]
    known = [word for word in others if word in METHODS or ":" in word]
    free = [word for before, word in pairs[1:] if not before.startswith("-")]  # no value of an unknown flag
    recipe = bound.kwargs.get("recipe")
    default = choose_method(recipe or (choose_recipe(data, bound.kwargs) if data else None))
    return data, (known or free or [default])[0], recipe
