"""Flags that several commands share, and the names of flags in error messages."""

import re
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from longtail.methods import METHODS, TAUGHT, get_options
from longtail.recipe import describe_fields

COMPLETION = "--install-completion"
Device = Annotated[str, Parameter(help="auto, cpu, cuda or cuda:N")]
Selected = Annotated[bool, Parameter(help="use the epoch that --select chose, not the last", negative="")]
OTHER_FLAGS = {
    "device",
    "threads",
    "workers",
    "seeds",
    "top",
    "expert",
    "minutes",
    *("coverage", "weight", "score", "unknown", "sure"),
    *("max_drop", "root", "n", "port", "cosine", "cache"),
}  # neither recipe fields nor method options


def parse_integer(kind: type, tokens: Sequence[Token]) -> int:
    """Parse an integer flag; raises ValueError for 1.5, which `int` would round."""
    if not tokens[0].value.lstrip("+-").isdigit():
        raise ValueError(f"'{tokens[0].value}' is not a whole number")
    return int(tokens[0].value)


Root = Annotated[
    str | None, Parameter(help="folder with the files of the data set; by default the one used in training")
]
Threads = Annotated[
    int | None,
    Parameter(help="CPU threads; by default all cores, for images of up to 16 pixels one", converter=parse_integer),
]


def name_flag(message: str) -> str:
    """Replace the Python name at the start of an error message by its flag, such as batch_size by --batch-size."""
    match = re.match(r"(?:option )?(\w+) (?=(?:of \S+ )?is )", message)
    options = {option for method in METHODS | TAUGHT for option in get_options(method)}
    names = describe_fields().keys() | options | OTHER_FLAGS
    if not match or match[1] not in names:
        return message
    return f"--{match[1].replace('_', '-')} {message[match.end() :]}"
