"""The flags of `train`: the fields of a recipe and the options of the method that is asked for, with their defaults."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from longtail.data import SOURCES
from longtail.errors import LongtailError
from longtail.methods import METHODS, method_class, options_of
from longtail.recipe import Recipe
from longtail.recipes import recipe_for

COMPLETION = "--install-completion"
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")]
Selected = Annotated[bool, Parameter(help="the epoch that --select chose, instead of the last", negative="")]
Threads = Annotated[int | None, Parameter(help="CPU threads; all cores if left out")]


def whole(kind: type, tokens: tuple) -> int:
    """A whole number as typed; 1.5 is refused, not rounded."""
    if not tokens[0].value.lstrip("+-").isdigit():
        raise ValueError(f"'{tokens[0].value}' is not a whole number")
    return int(tokens[0].value)


def with_options(train: Callable, words: list[str]) -> Callable:
    """The train command, its `**changes` spelt out as flags of their types; the words typed say data set and method.

    For tab completion the known names of both are spelt out too.
    """

    def command(*args, **flags):
        return train(*args, **{name: value for name, value in flags.items() if value is not None})

    method, own = method_in(words), inspect.signature(train)
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
                kind | None, Parameter(help=text, group=group, converter=whole if kind is int else None)
            ],
        )
        for group, found in (("Recipe", recipe_flags(words)), (f"Options of {method}", options))
        for name, (kind, text) in found.items()
    ]
    names = {"data": Literal[*SOURCES] | Path, "method": Literal[*METHODS]} if words[:1] == [COMPLETION] else {}
    kept = [
        p.replace(annotation=names[p.name]) if p.name in names else p
        for p in own.parameters.values()
        if p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    command.__signature__ = own.replace(parameters=[*kept, *added])
    command.__annotations__ = {p.name: p.annotation for p in command.__signature__.parameters.values()}
    command.__doc__ = train.__doc__
    return command


def recipe_flags(words: list[str]) -> dict[str, tuple[type, str]]:
    """Type and help of each field of a recipe, with the default of the data set and recipe that the words name."""
    data = next((word for word in words[1:] if word in SOURCES), None)
    chosen = words[words.index("--recipe") + 1] if "--recipe" in words[:-1] else None
    try:
        defaults = recipe_for(data, chosen).asdict() if data else {}
    except LongtailError:  # said when the command itself comes to it
        defaults = {}
    found = {}
    for field in fields(Recipe):
        if field.name not in ("data", "method", "options"):
            kind, text = field.type.__origin__, field.type.__metadata__[0]
            default = f" (default {str(defaults[field.name]).lower()})" if field.name in defaults else ""
            found[field.name] = kind, text + default
    return found


def method_in(words: list[str]) -> str:
    """The method that a train command names: the second of its words that are neither flags nor their values."""
    if words[:1] != ["train"]:
        return "ecl"
    kinds = {name: kind for name, (kind, _) in recipe_flags(words).items()}
    kinds |= {o.name: o.type for m in METHODS for o in options_of(method_class(m)).values()}
    switches = {name for name, kind in kinds.items() if kind is bool} | {"resume", "help"}

    def takes_value(flag: str) -> bool:
        name = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
        return flag.startswith("--") and "=" not in flag and name not in switches

    pairs = pairwise(words)
    free = [word for before, word in pairs if not word.startswith("-") and not takes_value(before)]
    return free[1] if len(free) > 1 else "ecl"


def as_typed(message: str) -> str:
    """An error of a recipe or method with the flag in the place of the Python name it begins with."""
    found = re.match(r"(?:option )?(\w+) (?=(?:of \w+ )?is )", message)
    names = {field.name for field in fields(Recipe)} | {o for m in METHODS for o in options_of(method_class(m))}
    if not found or found[1] not in names | {"device", "threads", "workers", "seeds", "top", "expert"}:
        return message
    return f"--{found[1].replace('_', '-')} {message[found.end() :]}"
