"""What a user is told when an input cannot be used: one line that says what, where, and what to do."""

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class LongtailError(ValueError):
    """Bad input; the command line prints the message on one line and exits with 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> LongtailError:
    """The error for a name that is not among the known ones: it lists them and offers the nearest."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return LongtailError(f"unknown {kind} '{name}'{hint} Known: {', '.join(known)}")


def expanded(path: str | os.PathLike) -> Path:
    """A path with ~ spelt out; raises LongtailError for the home of nobody."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise LongtailError(
            f"{path} begins with the home of nobody here; write ./{path} for what is called so"
        ) from error


def check_letters(path: Path) -> None:
    """Raise LongtailError for a name that is not UTF-8, which neither pyarrow nor safetensors can write to."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise LongtailError(f"{path} is not UTF-8, as what is written must be named; choose another --out") from error


def check_folder_of(path: Path) -> None:
    """Raise LongtailError unless a file that is to be made has a name in UTF-8 and a folder that can be written in."""
    check_letters(path)
    if not path.parent.is_dir():
        raise LongtailError(f"{path.parent} is not a folder; make it, or choose another --out")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise LongtailError(f"nothing can be written in {path.parent}; choose another --out")


def stopped(why: str, code: int) -> SystemExit:
    """Say on one line that a command ends before its time; -> what ends the process with this exit code."""
    print(f"longtail: {why}; finished epochs are kept, the same command with --resume goes on", file=sys.stderr)
    return SystemExit(code)
