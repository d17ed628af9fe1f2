"""A figure on the disk: the picture, its numbers beside it, and nothing of anybody else's overwritten."""

import csv
import io
import re
from html import unescape
from pathlib import Path
from types import ModuleType

import numpy as np

from longtail.analysis.picture import Arrays, Drawing, render_bytes
from longtail.errors import LongtailError, check_parent_folder
from longtail.runs.files import write_bytes
from longtail.runs.finished import FinishedRun

KINDS = (".svg", ".png", ".pdf")


def check_target(path: Path, mark: str) -> None:
    """Raise LongtailError unless a picture and its numbers may be written there; what bears the mark may be replaced."""
    if path.suffix not in KINDS:
        raise LongtailError(f"{path} is not named as a picture; --out ends with {', '.join(KINDS)}")
    check_parent_folder(path)
    own = [kind for kind in KINDS if is_marked(path.with_suffix(kind), mark)]
    for file in (path, path.with_suffix(".csv"), path.with_suffix(".npz")):
        if file.exists() and not (file.suffix in own or (file.suffix not in KINDS and own)):
            raise LongtailError(
                f"{file} exists already and is not this figure; it is left as it is, choose another --out"
            )


def is_marked(path: Path, mark: str) -> bool:
    """Whether a file is there that says inside that it is this figure."""
    return path.is_file() and mark.encode() in path.read_bytes()


def write_figure(figure: ModuleType, panels: dict[str, Arrays], path: Path, mark: str) -> list[Path]:
    """Write the picture and its numbers; returns their paths."""
    kind, content = encode_numbers(panels)
    files = {path: render_bytes(figure, panels, path.suffix[1:], mark), path.with_suffix(kind): content}
    for file, content in files.items():
        write_bytes(file, content)
    return list(files)


def encode_numbers(panels: dict[str, Arrays]) -> tuple[str, bytes]:
    """The numbers as csv if every array is a column or one number, else as npz; several panels are told apart by `run`."""
    if all(map(is_table, panels.values())):
        return ".csv", to_csv(panels)
    content, several = io.BytesIO(), len(panels) > 1
    named = {f"{label}/{key}" if several else key: v for label, arrays in panels.items() for key, v in arrays.items()}
    np.savez_compressed(content, **named)
    return ".npz", content.getvalue()


def is_table(arrays: Arrays) -> bool:
    """Whether all arrays are columns of one length, or single numbers."""
    return all(a.ndim <= 1 for a in arrays.values()) and len({len(a) for a in arrays.values() if a.ndim}) <= 1


def to_csv(panels: dict[str, Arrays]) -> bytes:
    """A row for each entry of the columns, single numbers repeated in each; nan is an empty cell."""
    text = io.StringIO()
    keys = list(dict.fromkeys(key for arrays in panels.values() for key in arrays))
    writer = csv.DictWriter(text, ["run", *keys] if len(panels) > 1 else keys, restval="", lineterminator="\n")
    writer.writeheader()
    for label, arrays in panels.items():
        columns = np.broadcast_arrays(*arrays.values())
        for row in zip(*(column.ravel().tolist() for column in columns), strict=True):
            cells = {key: "" if value != value else value for key, value in zip(arrays, row, strict=True)}
            writer.writerow(cells | ({"run": label} if len(panels) > 1 else {}))
    return text.getvalue().encode()


def make_figure_folder(run: FinishedRun) -> Path:
    """The folder `figures/` of a run, made if it is not there; raises LongtailError if it cannot be."""
    folder = run.path / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise LongtailError(f"cannot make {folder}: {error.strerror}; say with --out where the figure goes") from error
    return folder


def load_stored_figure(run: FinishedRun, name: str) -> Drawing | None:
    """The figure that an earlier command left in the run's `figures/`; None if there is none that can be read."""
    path = run.path / "figures" / f"{name}.svg"
    try:
        svg = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    words = re.match(r'<svg role="img" aria-label="([^"]*)"', svg)
    return Drawing(svg, unescape(words[1])) if words else None
