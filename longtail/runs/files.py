"""Atomic file writing: a file appears whole or not at all, and a damaged one is named when it is read."""

import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from longtail.errors import LongtailError
from longtail.nets.pretrained import READ_FAILURES, check_readable
from longtail.runs.spreadsheet import restore_cell, write_cells

# what reading a field of a changed file can raise
MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError, csv.Error)


@contextmanager
def atomic_path(target: Path, *, is_new: bool = False) -> Iterator[Path]:
    """Yield a temporary path that replaces `target` once it is written and on the disk.

    Raises LongtailError if it cannot be written; an earlier file is then untouched. What is no regular file, such as a
    FIFO or a device, is never replaced, and with `is_new` nothing is, not even a file that appeared meanwhile.
    """
    if os.path.exists(target) and not os.path.isfile(target):
        raise LongtailError(f"{target} is a folder, FIFO, socket or device, and is left as it is; choose another path")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # a rename may reach the disk before the content does
        (put_new if is_new else os.replace)(temporary, target)
    except OSError as error:
        raise LongtailError(f"cannot write {target}: {error}; what was there before is untouched") from error
    finally:
        temporary.unlink(missing_ok=True)


def put_new(source: Path, target: Path) -> None:
    """Give a file a name that no other file has; raises FileExistsError if one has."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "a file of this name has appeared") from None
        os.replace(source, target)


@contextmanager
def report_damage(path: Path) -> Iterator[None]:
    """Turn any error that a changed file leads to into a LongtailError that names the file."""
    try:
        yield
    except LongtailError:
        raise
    except MALFORMED as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise LongtailError(f"{path} is not as longtail wrote it ({what})") from error


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write bytes atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write text in UTF-8 atomically; characters that have no UTF-8, such as in file names, are escaped."""
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: dict) -> None:
    """Write a dictionary as JSON atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def hash_file(path: Path) -> str:
    """Compute the sha256 of a file; raises LongtailError if the file is missing or is no regular file."""
    check_readable(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict:
    """Read a dictionary from JSON; raises LongtailError if the file is missing or holds anything else."""
    check_readable(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LongtailError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise LongtailError(f"{path} is not as longtail wrote it")
    return found


def write_csv(path: Path, rows: Sequence[dict]) -> None:
    """Write rows under the union of their keys atomically; None becomes an empty cell, and no text is a formula."""
    text = io.StringIO()
    keys = list(dict.fromkeys(key for row in rows for key in row))
    for cells in (keys, *([row.get(key) for key in keys] for row in rows)):
        write_cells(text, cells)
    write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read the rows that `write_csv` wrote, every cell as text; raises LongtailError if the file cannot be read."""
    check_readable(path)
    with report_damage(path):
        text = path.read_bytes().decode()
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return [{restore_cell(key): restore_cell(cell) for key, cell in row.items()} for row in rows]


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors atomically."""
    write_bytes(path, save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors; raises LongtailError if the file is missing or damaged."""
    check_readable(path)  # safetensors reports a file without permission as missing
    try:
        return load_file(path)
    except READ_FAILURES as error:
        raise LongtailError(f"{path} is not a readable safetensors file: {error}") from error
