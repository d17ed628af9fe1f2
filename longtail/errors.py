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


def check_folder_of(path: Path) -> None:
    """Raise LongtailError unless the folder of a file that is to be made is there and can be written in."""
    if not path.parent.is_dir():
        raise LongtailError(f"{path.parent} is not a folder; make it, or choose another --out")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise LongtailError(f"nothing can be written in {path.parent}; choose another --out")


def stopped(why: str, code: int) -> SystemExit:
    """Say on one line that a command ends before its time; -> what ends the process with this exit code."""
    print(f"longtail: {why}; finished epochs are kept, the same command with --resume goes on", file=sys.stderr)
    return SystemExit(code)
