"""Errors that a user can act on: one line that says what is wrong, where, and what to do."""

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path

# codes that move the cursor, color, hide or reverse text on a terminal: C0, DEL, C1, line separators, bidi overrides
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


class LongtailError(ValueError):
    """Bad input; the command line prints the message on one line and exits with 2."""


class LostProcess(LongtailError):
    """Another process of a run under torchrun cannot be reached; every remaining one reports it."""


IS_COMMAND_LINE = ContextVar("IS_COMMAND_LINE", default=False)  # whether the user types flags


@contextmanager
def mark_command_line() -> Iterator[None]:
    """Mark that the user types flags, which errors then name."""
    token = IS_COMMAND_LINE.set(True)
    try:
        yield
    finally:
        IS_COMMAND_LINE.reset(token)


@contextmanager
def name_parameters() -> Iterator[None]:
    """Name Python's parameters in a LongtailError where it names flags: `batch_size` for --batch-size.

    A command line in backticks or of pip stays as it is, and so does the error of a user who types flags.
    """
    try:
        yield
    except LongtailError as error:
        if IS_COMMAND_LINE.get():
            raise
        kept_or_flag = r"`[^`]*`|pip install [^;,]*|--([a-z][a-z-]*)"
        found = re.sub(kept_or_flag, lambda m: f"`{m[1].replace('-', '_')}`" if m[1] else m[0], str(error))
        error.args = (found,)
        raise


def unknown_name(kind: str, name: str, known: Iterable[str], elsewhere: str = "") -> LongtailError:
    """Return the error for a name that is not among the known ones; it lists them and offers the nearest.

    `elsewhere` says where they are listed, in place of more than twenty names.
    """
    known = sorted(known)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    listed = elsewhere if elsewhere and len(known) > 20 else f"Known: {', '.join(known)}"
    return LongtailError(f"unknown {kind} '{name}'{hint} {listed}")


def escape_controls(text: object) -> str:
    """Return a text, such as the name of a file or class, on one line that no terminal takes as commands."""
    return str(text).translate(CONTROLS | {ord("\n"): "\\n", ord("\t"): "\\t"})


def expand_path(path: str | os.PathLike) -> Path:
    """Return a path with ~ expanded; raises LongtailError for the home of an unknown user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise LongtailError(
            f"{path} begins with the home of an unknown user; write ./{path} if the name begins with ~"
        ) from error


def is_special_file(path: str | os.PathLike) -> bool:
    """Return whether a path is a pipe, socket or device, which would hang a reader or fill memory; False if it is missing."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_utf8_path(path: Path, flag: str = "--out") -> None:
    """Raise LongtailError for a path that is not UTF-8; neither pyarrow nor safetensors can write to it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise LongtailError(
            f"{path} is not UTF-8, as the names of written files must be; choose another {flag}"
        ) from error


def check_parent_folder(path: Path, flag: str = "--out") -> None:
    """Raise LongtailError unless a new file has a name in UTF-8 and a folder that exists and can be written in.

    A pipe, socket or device of this name is refused, before anyone opens it. The message names the user's flag.
    """
    check_utf8_path(path, flag)
    if is_special_file(path):
        raise LongtailError(f"{path} is a pipe, socket or device and is left as it is; choose another {flag}")
    if not path.parent.is_dir():
        raise LongtailError(f"{path.parent} is not a folder; make it, or choose another {flag}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise LongtailError(f"nothing can be written in {path.parent}; choose another {flag}")


ADVICE = {  # after a command was stopped
    "train": "; finished epochs are kept, the same command with --resume goes on",
    "distill": "; finished epochs are kept, the same command with --resume goes on",
    "reproduce": "; finished epochs are kept, the same command goes on",
}


def announce_stop(why: str, code: int, tokens: Sequence[str]) -> int:
    """Print one line saying that the command of these tokens ends before its time, and return its exit code."""
    print(f"longtail: {escape_controls(why)}{ADVICE.get(tokens[0], '') if tokens else ''}", file=sys.stderr)
    return code
