"""The command `longtail distill`, whose flags are those of `longtail train` without the ones that choose the images."""

import inspect
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from longtail.commands.flags import Device, Root, Threads, parse_integer
from longtail.commands.train import NOT_FLAGS, make_flag, set_signature
from longtail.conflicts import IMAGE_FIELDS
from longtail.errors import expand_path
from longtail.methods import get_options
from longtail.ranks import get_rank
from longtail.recipe import describe_fields


def distill_run(
    run: str,
    /,
    *,
    root: Root = None,
    out: Annotated[str | None, Parameter(help="new run folder; by default runs/DATA-distill-gGAMMA-seedN")] = None,
    resume: Annotated[bool, Parameter(help="continue the run in its folder, or begin one", negative="")] = False,
    device: Device = "auto",
    threads: Threads = None,
    workers: Annotated[
        int | None, Parameter(help="processes that decode images, as of train", converter=parse_integer)
    ] = None,
    cache: Annotated[str | None, Parameter(help="folder of cached features; by default that of the run")] = None,
    slim: Annotated[
        bool, Parameter(help="do not keep the frozen encoder in the run, only its hash", negative="")
    ] = False,
    **changes: Any,
) -> None:
    """Distill the experts of a finished run into one network, as a run of its own; settings are those of the run."""
    from longtail import api
    from longtail.commands.console import build_report, show_run
    from longtail.launch import train as launch
    from longtail.machine import keep_freed_memory
    from longtail.runs.finished import FinishedRun
    from longtail.teaching import build_student_recipe

    teacher = FinishedRun.open(run)
    recipe = build_student_recipe(teacher, **changes)
    path = api.default_run_path(recipe) if out is None else expand_path(out)
    with teacher.folder.report_damage("environment.json"):
        root, cache = root or teacher.environment["root"], cache or teacher.environment.get("cache")
    keep_freed_memory()
    console = Console(quiet=get_rank() > 0)
    where: dict[str, Any] = {"root": root, "device": device, "threads": threads, "workers": workers, "cache": cache}
    with build_report(console) as report:
        trained = launch(recipe, path, report, resume=resume, slim=slim, **where)
        api.write_run_report(path, report)
    show_run(console, trained)


def add_flags(command: Any) -> Any:
    """Return the command with `**changes` replaced by flags for recipe fields and the options of `distill`."""

    def call(*arguments: object, **values: object) -> object:  # cyclopts passes only the flags that are given
        return command(*arguments, **values)

    *given, _ = inspect.signature(command).parameters.values()
    fields = {name: about for name, about in describe_fields().items() if name not in NOT_FLAGS.union(IMAGE_FIELDS)}
    flags = [
        make_flag(name, kind, f"{text} (default: that of the run)", "Recipe")
        for name, (kind, text, *_) in fields.items()
    ]
    options = [option for option in get_options("distill").values() if option.name != "teacher"]
    flags += [
        make_flag(
            option.name, option.type, f"{option.help} (default {str(option.default).lower()})", "Options of distill"
        )
        for option in options
    ]
    call.__doc__ = command.__doc__
    return set_signature(call, [*given, *flags])


distill = add_flags(distill_run)
