"""Flags that several commands share, and the names of flags in error messages."""

import re
from typing import Annotated

from cyclopts import Parameter

from longtail.methods import METHODS, get_options
from longtail.recipe import describe_fields

COMPLETION = "--install-completion"
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")]
Selected = Annotated[bool, Parameter(help="the epoch that --select chose, instead of the last", negative="")]
Threads = Annotated[int | None, Parameter(help="CPU threads; by default all cores")]
OTHERS = {"device", "threads", "workers", "seeds", "top", "expert"}  # flags that are neither fields nor options


def parse_integer(kind: type, tokens: tuple) -> int:
    """Return an integer as typed; 1.5 is refused, not rounded."""
    if not tokens[0].value.lstrip("+-").isdigit():
        raise ValueError(f"'{tokens[0].value}' is not a whole number")
    return int(tokens[0].value)


def name_flag(message: str) -> str:
    """Return an error of a recipe or method with the flag in place of the Python name that it begins with."""
    found = re.match(r"(?:option )?(\w+) (?=(?:of \S+ )?is )", message)
    names = describe_fields().keys() | {option for method in METHODS for option in get_options(method)} | OTHERS
    if not found or found[1] not in names:
        return message
    return f"--{found[1].replace('_', '-')} {message[found.end() :]}"
