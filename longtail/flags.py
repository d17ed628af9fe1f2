"""The flags of `longtail train`: those of the recipe and of the method that is asked for, with their types and help."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated

from cyclopts import Parameter

from longtail.methods import METHODS, method_class, options_of
from longtail.recipe import Recipe


def whole(kind: type, tokens: tuple) -> int:
    """A whole number as typed; 1.5 is refused, not rounded."""
    if not tokens[0].value.lstrip("+-").isdigit():
        raise ValueError(f"'{tokens[0].value}' is not a whole number")
    return int(tokens[0].value)


def with_options(train: Callable, method: str) -> Callable:
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
