"""The command `longtail predict`."""

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from longtail import api
from longtail.commands.flags import Device, Selected, Threads, parse_integer
from longtail.data.catalog import make_printable
from longtail.data.decode import BadImage
from longtail.errors import LongtailError, expand_path
from longtail.inference.images import find_images
from longtail.inference.predict import Prediction, build_predictions, open_table, predict_files
from longtail.inference.prior import describe_prior

MAX_SHOWN = 20  # images in the terminal, and unreadable ones named there
SOME_BAD = 3  # the exit code


def predict(
    run: str,
    /,
    *images: str,
    out: Annotated[str | None, Parameter(help="new .csv or .parquet; a table in the terminal if left out")] = None,
    top: Annotated[int, Parameter(help="most probable classes of each image", converter=parse_integer)] = 5,
    target_prior: Annotated[
        str | None,
        Parameter(help="how frequent classes are where the images come from: uniform, train, or a file (Eq. 4)"),
    ] = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> int:
    """Predict the classes of images: files, folders, lists or tables of paths."""
    if top < 1:
        raise LongtailError(f"top is {top}; it is a number of classes, at least 1")
    if not images:
        raise LongtailError("name the images to predict: files, folders, or lists of paths (.txt, .csv, .tsv)")
    model = api.load(run, selected=selected, device=device, threads=threads)
    prior = describe_prior(model.method, target_prior)
    bad, aside = [], []
    paths = find_images(images, aside)

    def choose(pixels) -> list[Prediction]:
        return build_predictions(model.adjusted_logits(pixels, target_prior), model.classes, top)

    if out is None:
        first = list(itertools.islice(paths, MAX_SHOWN + 1))
        show_predictions(predict_files(first[:MAX_SHOWN], model.transform_set, choose, bad), prior)
        if len(first) > MAX_SHOWN:
            print(f"only the first {MAX_SHOWN} images; --out FILE.csv or FILE.parquet takes all")
    else:
        written = write_table(expand_path(out), predict_files(paths, model.transform_set, choose, bad), prior, bad)
        print(f"{out}: {written:,} image{'s' * (written != 1)}, class prior {prior}")
    return report_skipped(bad, aside)


def write_table(out: Path, found: Iterable[tuple[str, Prediction]], prior: str, bad: list[BadImage]) -> int:
    """Write the table; -> its rows. Raises LongtailError if there are none."""
    with open_table(out, f"class prior: {prior}") as add:
        rows = 0
        for path, prediction in found:
            add(prediction.row(path, prior))
            rows += 1
        if not rows:
            raise LongtailError(f"none of the {len(bad):,} images can be read, the first {bad[0]}")
    return rows


def show_predictions(found: Iterable[tuple[str, Prediction]], prior: str) -> None:
    """The terminal's table, a row a line: where the terminal is too narrow, texts are shortened."""
    console, rows = Console(), []
    if not console.is_terminal:
        console.width = 10_000  # a file or a pipe takes whole lines
    for path, best in found:
        then = ", ".join(f"{n} {100 * p:.1f}" for n, p in list(zip(best.classes, best.probabilities, strict=True))[1:])
        room = max(console.width - 31, 16)  # beside probability, a little of "then", and the edges of columns
        shares = (room // 2, room // 4, 11, console.width, room // 4)
        cells = path, best.label, f"{100 * best.probabilities[0]:.1f} %", then, " ".join(best.votes)
        rows.append([shorten(cell, most) for cell, most in zip(cells, shares, strict=True)])
    names = ("image", "class", "probability", "then", "experts")
    widths = [max([len(name), *map(cell_len, cells)]) for name, *cells in zip(names, *rows, strict=True)]
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, width in zip(names, widths, strict=True):
        left = console.width - sum(widths) + width - 16  # beside the other columns and their edges
        most = max(left, len(name)) if name == "then" else None
        grid.add_column(name, no_wrap=True, overflow="ellipsis", max_width=most)
    for cells in rows:
        grid.add_row(*map(escape, cells))
    if rows:
        console.print(grid)
    console.print(f"class prior: {prior}", markup=False, highlight=False)


def shorten(text: str, most: int) -> str:
    """A text on one line of at most so many cells, its middle left out if need be, for a path says most at its end."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    if cell_len(text) <= most:
        return text
    head, tail = text[: max(most // 3, 1)], text[-max(most - most // 3 - 1, 1) :]
    while cell_len(head + tail) >= most and len(tail) > 1:  # letters of two cells
        tail = tail[1:]
    return f"{head}…{tail}"


def report_skipped(bad: list[BadImage], aside: list[str]) -> int:
    """Name the images that could not be read, and count what is no image; -> the exit code."""
    if aside:
        what = "1 file that is no image" if len(aside) == 1 else f"{len(aside):,} files that are no images"
        print(f"longtail: left aside {what}, the first {make_printable(aside[0])}", file=sys.stderr)
    for error in bad[:MAX_SHOWN]:
        print(f"longtail: not read: {error}", file=sys.stderr)
    if bad:
        more = f", {len(bad) - MAX_SHOWN:,} of them not named here" if len(bad) > MAX_SHOWN else ""
        what = "image was" if len(bad) == 1 else "images were"
        print(f"longtail: {len(bad):,} {what} left out{more}; the others were predicted", file=sys.stderr)
    return SOME_BAD if bad else 0
