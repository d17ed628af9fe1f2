"""The command `longtail predict`."""

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from longtail.commands.flags import Device, Selected, Threads, parse_integer
from longtail.data.decode import BadImage
from longtail.errors import LongtailError, escape_controls, expand_path

if TYPE_CHECKING:
    from torch import Tensor

    from longtail.inference.predict import Prediction

MAX_SHOWN = 20  # rows of the terminal table, and unreadable images that are named
SOME_BAD = 3  # exit code if some images cannot be read


def predict(
    run: str,
    /,
    *images: str,
    out: Annotated[
        str | None, Parameter(help="new .csv or .parquet file; by default the terminal shows a table")
    ] = None,
    top: Annotated[
        int, Parameter(help="number of most probable classes to give for each image", converter=parse_integer)
    ] = 5,
    target_prior: Annotated[
        str | None,
        Parameter(help="class frequencies where the images come from: uniform, train, or a file (Eq. 4)"),
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
    from longtail import api
    from longtail.commands.console import break_silence
    from longtail.inference.images import find_images
    from longtail.inference.predict import build_predictions, check_table_path, predict_files
    from longtail.inference.prior import describe_prior

    model = api.load(run, selected=selected, device=device, threads=threads)
    prior = describe_prior(model.method, target_prior)
    bad: list[BadImage] = []
    skipped: list[str] = []
    if out is not None:
        check_table_path(expand_path(out))
    check_images(images, every=out is not None)
    paths = find_images(images, skipped)

    silence, done = break_silence("reading the images"), 0

    def predict_batch(pixels: "Tensor") -> "list[Prediction]":
        nonlocal done
        done += len(pixels)
        silence.doing = f"predicting, {done:,} images so far"
        return build_predictions(model.adjusted_logits(pixels, target_prior), model.classes, top)

    if out is None:
        first = list(itertools.islice(paths, MAX_SHOWN + 1))
        show_predictions(predict_files(first[:MAX_SHOWN], model.transform_set, predict_batch, bad), prior)
        if len(first) > MAX_SHOWN:
            print(f"only the first {MAX_SHOWN} images are shown; --out FILE.csv or FILE.parquet takes all")
    else:
        with silence:
            predictions = predict_files(paths, model.transform_set, predict_batch, bad)
            written = write_table(expand_path(out), predictions, prior, bad)
        print(escape_controls(f"{out}: {written:,} image{'s' * (written != 1)}, class prior {prior}"))
    return report_skipped(bad, skipped)


def check_images(names: Iterable[str], every: bool) -> None:
    """Raise LongtailError for a path that is missing or holds no images, before hours of predictions are lost to it.

    `every` reads each list and folder to its end, not only to its first image.
    """
    from longtail.inference.images import find_images

    for name in names:
        found = find_images([name], [])
        for _ in found if every else itertools.islice(found, 1):
            pass


def write_table(out: Path, predictions: "Iterable[tuple[str, Prediction]]", prior: str, bad: list[BadImage]) -> int:
    """Write the table and return the number of its rows; raises LongtailError if no image can be read."""
    from longtail.inference.predict import open_table

    with open_table(out, f"class prior: {prior}") as add:
        rows = 0
        for path, prediction in predictions:
            add(prediction.row(path, prior))
            rows += 1
        if not rows:
            raise LongtailError(f"none of the {len(bad):,} images can be read, the first {bad[0]}")
    return rows


def show_predictions(predictions: "Iterable[tuple[str, Prediction]]", prior: str) -> None:
    """Print predictions as a table with one line per image; a narrow terminal shortens the texts."""
    console, rows = Console(), []
    if not console.is_terminal:
        console.width = 10_000  # a file or a pipe takes whole lines
    room = max(console.width - 31, 16)  # without probability, the start of "then", and the edges of columns
    limits = (room // 2, room // 4, 11, console.width, room // 4)
    for path, best in predictions:
        then = ", ".join(f"{n} {100 * p:.1f}" for n, p in list(zip(best.classes, best.probabilities, strict=True))[1:])
        texts = (path, best.label, f"{100 * best.probabilities[0]:.1f} %", then, " ".join(best.votes))
        rows.append([shorten(text, limit) for text, limit in zip(texts, limits, strict=True)])
    names = ("image", "class", "probability", "then", "experts")
    widths = [max([len(name), *map(cell_len, cells)]) for name, *cells in zip(names, *rows, strict=True)]
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, width in zip(names, widths, strict=True):
        rest = console.width - sum(widths) + width - 16  # without the other columns and all edges
        limit = max(rest, len(name)) if name == "then" else None
        grid.add_column(name, no_wrap=True, overflow="ellipsis", max_width=limit)
    for row in rows:
        grid.add_row(*map(escape, row))
    if rows:
        console.print(grid)
    console.print(f"class prior: {prior}", markup=False, highlight=False)


def shorten(text: str, limit: int) -> str:
    """Shorten a text to one line of at most `limit` terminal cells by cutting its middle: a path differs at its end."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    if cell_len(text) <= limit:
        return text
    head, tail = text[: max(limit // 3, 1)], text[-max(limit - limit // 3 - 1, 1) :]
    while cell_len(head + tail) >= limit and len(tail) > 1:  # some letters take two cells
        tail = tail[1:]
    return f"{head}…{tail}"


def report_skipped(bad: list[BadImage], skipped: list[str]) -> int:
    """Print the images that cannot be read and the number of files that are no images; return the exit code."""
    if skipped:
        files = "1 file that is no image" if len(skipped) == 1 else f"{len(skipped):,} files that are no images"
        print(f"longtail: skipped {files}, the first {escape_controls(skipped[0])}", file=sys.stderr)
    for error in bad[:MAX_SHOWN]:
        print(f"longtail: not read: {escape_controls(error)}", file=sys.stderr)
    if bad:
        more = f" ({len(bad) - MAX_SHOWN:,} are not named here)" if len(bad) > MAX_SHOWN else ""
        images = "1 image was" if len(bad) == 1 else f"{len(bad):,} images were"
        print(f"longtail: {images} left out{more}; all others were predicted", file=sys.stderr)
    return SOME_BAD if bad else 0
