"""Figures as files: a picture with its numbers beside it; files that are not this figure are never overwritten."""

import io
import re
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from longtail.analysis.picture import Arrays, Drawing, render_bytes
from longtail.errors import LongtailError, check_parent_folder
from longtail.runs.files import write_bytes
from longtail.runs.finished import FinishedRun
from longtail.runs.spreadsheet import write_cells

KINDS = (".svg", ".png", ".pdf")
MAX_STORED = 16 * 1024**2  # bytes of a stored figure that a report embeds


def check_target(path: Path, mark: str) -> None:
    """Raise LongtailError if the path is no picture or holds another file; a file with the mark may be replaced."""
    if path.suffix not in KINDS:
        raise LongtailError(f"{path} has no name of a picture; end --out with {', '.join(KINDS)}")
    # the format may change between calls: a csv beside an svg of this figure belongs to the figure
    marked = [kind for kind in KINDS if is_marked(path.with_suffix(kind), mark)]
    for file in (path, path.with_suffix(".csv"), path.with_suffix(".npz")):
        check_parent_folder(file)  # no pipe either
        if file.exists() and not (file.suffix in marked or (file.suffix not in KINDS and marked)):
            raise LongtailError(f"{file} exists already and is not this figure; choose another --out")


def is_marked(path: Path, mark: str) -> bool:
    """Return whether a file exists and contains the mark of this figure."""
    return path.is_file() and mark.encode() in path.read_bytes()


def write_figure(figure: ModuleType, panels: dict[str, Arrays], path: Path, mark: str) -> list[Path]:
    """Write the picture and its numbers, and return their paths."""
    kind, numbers = encode_numbers(panels)
    files = {path: render_bytes(figure, panels, path.suffix[1:], mark), path.with_suffix(kind): numbers}
    for file, content in files.items():
        write_bytes(file, content)
    return list(files)


def encode_numbers(panels: dict[str, Arrays]) -> tuple[str, bytes]:
    """Encode the numbers as csv if every array is a column or one number, else as npz; returns suffix and content.

    With several panels a csv has the column `run`, and the names in an npz begin with the run's label.
    """
    if all(map(is_table, panels.values())):
        return ".csv", encode_csv(panels)
    content, several = io.BytesIO(), len(panels) > 1
    named: dict[str, Any] = {
        f"{label}/{key}" if several else key: array for label, arrays in panels.items() for key, array in arrays.items()
    }
    np.savez_compressed(content, **named)
    return ".npz", content.getvalue()


def is_table(arrays: Arrays) -> bool:
    """Return whether all arrays are columns of one length or single numbers."""
    return all(a.ndim <= 1 for a in arrays.values()) and len({len(a) for a in arrays.values() if a.ndim}) <= 1


def encode_csv(panels: dict[str, Arrays]) -> bytes:
    """Encode a row for each entry of the columns; single numbers repeat in every row, nan is an empty cell."""
    text = io.StringIO()
    keys = list(dict.fromkeys(key for arrays in panels.values() for key in arrays))
    header = ["run", *keys] if len(panels) > 1 else keys
    write_cells(text, header)
    for label, arrays in panels.items():
        # single numbers become columns
        columns = np.broadcast_arrays(*arrays.values())
        for row in zip(*(column.ravel().tolist() for column in columns), strict=True):
            cells = {key: "" if value != value else value for key, value in zip(arrays, row, strict=True)}
            write_cells(text, [({"run": label} | cells).get(key, "") for key in header])
    return text.getvalue().encode()


def make_figure_folder(run: FinishedRun) -> Path:
    """Return the folder `figures/` of a run, made if it is missing; raises LongtailError if it cannot be made."""
    folder = run.path / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise LongtailError(f"cannot make {folder}: {error.strerror}; choose another file with --out") from error
    return folder


def load_stored_figure(run: FinishedRun, name: str) -> Drawing | None:
    """Return a figure that an earlier command wrote into the run's `figures/`, or None if none can be read.

    Raises LongtailError for anything but a regular file of at most 16 MB.
    """
    path = run.path / "figures" / f"{name}.svg"
    # a folder that someone shared may hold anything under this name: a pipe never ends, a huge file fills memory
    if path.exists() and (not path.is_file() or path.stat().st_size > MAX_STORED):
        raise LongtailError(f"{path} is no figure that longtail wrote; remove it, or draw the figure again")
    try:
        svg = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    # `clean_svg` writes the description into `aria-label`
    head = re.match(r'<svg role="img" aria-label="([^"]*)"', svg)
    return Drawing(svg, unescape(head[1])) if head else None
