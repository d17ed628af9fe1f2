"""Images from wherever a user has them, a batch at a time, as a model is tested on them: (N, 3, S, S) uint8 RGB."""

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

from longtail.augment import TransformSet
from longtail.data.catalog import LISTS, TABLES
from longtail.data.classes import natural_key
from longtail.data.decode import BadImage, suppress_pillow_warnings, to_upright_rgb
from longtail.data.eval_transform import EvalTransform, build_eval_transform
from longtail.data.folder import is_image, list_folder, walk_files
from longtail.data.table import detect_delimiter
from longtail.errors import LongtailError, expand_path

BATCH = 512  # images decoded and predicted at a time


def find_images(given: Iterable[str], aside: list[str]) -> Iterator[str]:
    """The images meant by files, folders (all below), and lists or tables of paths, one at a time.

    What a folder holds beside images is added to `aside`.
    Raises LongtailError for what is not there, and for a folder or list without images.
    """
    for word in given:
        path = expand_path(word)
        if path.is_dir():
            found = find_images_below(path, aside)
        elif path.suffix.lower() in (*LISTS, *TABLES):
            found = read_path_list(path)
        elif path.exists() or path.is_symlink():
            found = iter([str(path)])
        else:
            raise LongtailError(f"{word} is not there; images are files, folders, or lists of paths")
        first = next(found, None)
        if first is None:
            raise LongtailError(f"{word} holds no images")
        yield first
        yield from found


def find_images_below(folder: Path, aside: list[str]) -> Iterator[str]:
    """All images at any depth but hidden ones, in natural order; other files are added to `aside`."""
    for name, is_folder in sorted(list_folder(folder), key=lambda entry: natural_key(entry[0])):
        for path in walk_files(folder, name) if is_folder else [name]:
            if is_image(folder / path):
                yield str(folder / path)
            else:
                aside.append(str(folder / path))


def read_path_list(path: Path) -> Iterator[str]:
    """The paths of a list (a line each, a label behind it is left out) or of a table's column `path`, from its folder."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if path.suffix.lower() in LISTS:
                words = (strip_label(line.strip(), path.parent) for line in file if line.strip())
            else:
                rows = csv.DictReader(file, delimiter=detect_delimiter(path))
                column = next((name for name in rows.fieldnames or [] if name.strip().lower() == "path"), None)
                if column is None:
                    raise LongtailError(f"{path} has no column path")
                words = (row[column] for row in rows if row[column])
            for word in words:
                yield str(path.parent / word)
    except (OSError, csv.Error) as error:
        raise LongtailError(f"{path} cannot be read as a list of paths: {error}") from error


def strip_label(line: str, folder: Path) -> str:
    """The path of a line `path` or `path label`."""
    path, *label = line.rsplit(maxsplit=1)
    return path if label and os.path.lexists(folder / path) and not os.path.lexists(folder / line) else line


def decode_batches(paths: Iterable[str], family: TransformSet) -> Iterator[tuple[list[str], Tensor, list[BadImage]]]:
    """Of every few hundred paths those that can be read, their images, and why the others cannot."""
    sight = build_eval_transform(family)

    def decoded(path: str) -> np.ndarray | BadImage:
        try:
            return sight.read(path, path)
        except BadImage as error:
            return error

    paths = iter(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool, suppress_pillow_warnings():
        while some := list(itertools.islice(paths, BATCH)):
            found = list(pool.map(decoded, some))
            good = [
                (path, pixels) for path, pixels in zip(some, found, strict=True) if not isinstance(pixels, BadImage)
            ]
            bad = [error for error in found if isinstance(error, BadImage)]
            yield [path for path, _ in good], stack_images([pixels for _, pixels in good], family.size), bad


def stack_images(pixels: Sequence[np.ndarray], side: int) -> Tensor:
    """(side, side, 3) uint8 arrays -> (N, 3, side, side)."""
    whole = np.stack(pixels) if pixels else np.empty((0, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(whole).permute(0, 3, 1, 2).contiguous()


def to_image_tensor(given: object, family: TransformSet) -> Tensor:
    """Paths, PIL images, uint8 arrays (H, W, 3) or (N, H, W, 3), uint8 tensors (3, H, W) or (N, 3, H, W), lists of these.

    -> (N, 3, S, S) uint8, each seen as the family's test images are. Raises LongtailError.
    """
    return stack_images(to_arrays(given, build_eval_transform(family)), family.size)


def to_arrays(given: object, sight: EvalTransform) -> list[np.ndarray]:
    """The images of what `as_images` takes, N of (S, S, 3) uint8."""
    if isinstance(given, list | tuple):
        return [pixels for one in given for pixels in to_arrays(one, sight)]
    if isinstance(given, str | os.PathLike):
        return [sight.read(str(given), str(given))]
    if isinstance(given, Image.Image):
        try:
            return [sight.view(to_upright_rgb(given))]
        except (OSError, ValueError) as error:
            raise LongtailError(f"a {type(given).__name__} of {given.size} cannot be decoded: {error}") from error
    shape = tuple(getattr(given, "shape", ()))
    if 0 in shape[-3:]:
        raise LongtailError(f"an image of shape {shape} has no pixels")
    if isinstance(given, Tensor) and given.dtype == torch.uint8 and len(shape) in (3, 4) and shape[-3] == 3:
        arrays = given.cpu().reshape(-1, *shape[-3:]).permute(0, 2, 3, 1).numpy()
    elif isinstance(given, np.ndarray) and given.dtype == np.uint8 and len(shape) in (3, 4) and shape[-1] == 3:
        arrays = given.reshape(-1, *shape[-3:])
    else:
        raise LongtailError(
            f"{type(given).__name__} {getattr(given, 'dtype', '')} {shape or ''} is no image: a path, a PIL image, a uint8 "
            "array (H, W, 3) or (N, H, W, 3), a uint8 tensor (3, H, W) or (N, 3, H, W), or a list of these"
        )
    return [sight.view(Image.fromarray(np.ascontiguousarray(array))) for array in arrays]
