"""Images from wherever a user has them, a batch at a time, as a model takes them: (N, 3, side, side) uint8 RGB."""

import csv
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from longtail.data.decode import BadImage, quietly, read, square, upright
from longtail.data.folder import below, is_image, listed
from longtail.data.names import natural
from longtail.data.table import LISTS, TABLES, delimiter_of
from longtail.errors import LongtailError

BATCH = 512  # images decoded and predicted at a time


def paths_in(given: Iterable[str], aside: list[str]) -> Iterator[str]:
    """The images meant by files, folders (all below), and lists or tables of paths, one at a time.

    What a folder holds beside images is added to `aside`.
    Raises LongtailError for what is not there, and for a folder or list without images.
    """
    for word in given:
        path = Path(word).expanduser()
        if path.is_dir():
            found = files_below(path, aside)
        elif path.suffix.lower() in (*LISTS, *TABLES):
            found = paths_of(path)
        elif path.exists() or path.is_symlink():
            found = iter([str(path)])
        else:
            raise LongtailError(f"{word} is not there; images are files, folders, or lists of paths")
        first = next(found, None)
        if first is None:
            raise LongtailError(f"{word} holds no images")
        yield first
        yield from found


def files_below(folder: Path, aside: list[str]) -> Iterator[str]:
    """All images at any depth but hidden ones, in natural order; other files are added to `aside`."""
    for name, is_folder in sorted(listed(folder), key=lambda entry: natural(entry[0])):
        for path in below(folder, name) if is_folder else [name]:
            if is_image(folder / path):
                yield str(folder / path)
            else:
                aside.append(str(folder / path))


def paths_of(path: Path) -> Iterator[str]:
    """The paths of a list (a line each, a label behind it is left out) or of a table's column `path`, from its folder."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if path.suffix.lower() in LISTS:
                words = (without_label(line.strip(), path.parent) for line in file if line.strip())
            else:
                rows = csv.DictReader(file, delimiter=delimiter_of(path))
                column = next((name for name in rows.fieldnames or [] if name.strip().lower() == "path"), None)
                if column is None:
                    raise LongtailError(f"{path} has no column path")
                words = (row[column] for row in rows if row[column])
            for word in words:
                yield str(path.parent / word)
    except (OSError, csv.Error) as error:
        raise LongtailError(f"{path} cannot be read as a list of paths: {error}") from error


def without_label(line: str, folder: Path) -> str:
    """The path of a line `path` or `path label`."""
    path, *label = line.rsplit(maxsplit=1)
    return path if label and os.path.lexists(folder / path) and not os.path.lexists(folder / line) else line


def batches(paths: Iterable[str], side: int) -> Iterator[tuple[list[str], Tensor, list[BadImage]]]:
    """Of every few hundred paths those that can be read, their images, and why the others cannot."""

    def decoded(path: str) -> np.ndarray | BadImage:
        try:
            return square(read(path, path, at_least=side), side)
        except BadImage as error:
            return error

    paths = iter(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool, quietly():
        while some := list(itertools.islice(paths, BATCH)):
            found = list(pool.map(decoded, some))
            good = [
                (path, pixels) for path, pixels in zip(some, found, strict=True) if not isinstance(pixels, BadImage)
            ]
            bad = [error for error in found if isinstance(error, BadImage)]
            yield [path for path, _ in good], stacked([pixels for _, pixels in good], side), bad


def stacked(pixels: Sequence[np.ndarray], side: int) -> Tensor:
    """(side, side, 3) uint8 arrays -> (N, 3, side, side)."""
    whole = np.stack(pixels) if pixels else np.empty((0, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(whole).permute(0, 3, 1, 2).contiguous()


def as_images(given: object, side: int) -> Tensor:
    """Paths, PIL images, uint8 arrays (H, W, 3) or (N, H, W, 3), uint8 tensors (3, H, W) or (N, 3, H, W), lists of these.

    -> (N, 3, side, side) uint8, resized as in training's test where they have another size. Raises LongtailError.
    """
    if isinstance(given, list | tuple):
        found = [as_images(one, side) for one in given]
        return torch.cat(found) if found else stacked([], side)
    if isinstance(given, str | os.PathLike):
        return stacked([square(read(str(given), str(given), at_least=side), side)], side)
    if isinstance(given, Image.Image):
        try:
            return stacked([square(upright(given), side)], side)
        except (OSError, ValueError) as error:
            raise LongtailError(f"a {type(given).__name__} of {given.size} cannot be decoded: {error}") from error
    shape = tuple(getattr(given, "shape", ()))
    if 0 in shape[-3:]:
        raise LongtailError(f"an image of shape {shape} has no pixels")
    if isinstance(given, Tensor) and given.dtype == torch.uint8 and len(shape) in (3, 4) and shape[-3] == 3:
        return sized(given.cpu().reshape(-1, *shape[-3:]), side)
    if isinstance(given, np.ndarray) and given.dtype == np.uint8 and len(shape) in (3, 4) and shape[-1] == 3:
        return sized(torch.tensor(np.ascontiguousarray(given).reshape(-1, *shape[-3:])).permute(0, 3, 1, 2), side)
    raise LongtailError(
        f"{type(given).__name__} {getattr(given, 'dtype', '')} {shape or ''} is no image: a path, a PIL image, a uint8 array "
        "(H, W, 3) or (N, H, W, 3), a uint8 tensor (3, H, W) or (N, 3, H, W), or a list of these"
    )


def sized(images: Tensor, side: int) -> Tensor:
    """(N, 3, H, W) uint8 -> (N, 3, side, side)."""
    if images.shape[-2:] == (side, side):
        return images.contiguous()
    return stacked([square(Image.fromarray(image.permute(1, 2, 0).numpy()), side) for image in images], side)
