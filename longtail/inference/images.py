"""Images to predict, from files, arrays or tensors, transformed as for evaluation: (N, 3, S, S) uint8 RGB."""

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
from longtail.data.table import PathReader, read_cells, read_lines
from longtail.errors import LongtailError, expand_path, is_special_file

BATCH = 512  # images decoded and predicted at a time
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def find_images(names: Iterable[str], skipped: list[str]) -> Iterator[str]:
    """Yield the image paths that files, folders (with all folders below), and lists or tables of paths name.

    Other files of a folder are appended to `skipped`. Raises LongtailError for a path that does not exist, and for a
    folder or list without images.
    """
    for name in names:
        if not name:
            raise LongtailError("a name of images is empty; name files, folders, or lists of paths (. is this folder)")
        refuse_url(name)
        path = expand_path(name)
        if is_special_file(path):
            raise LongtailError(f"{name} is a pipe, socket or device; images are files, folders, or lists of paths")
        if path.is_dir():
            images = find_images_below(path, skipped)
        elif path.suffix.lower() in (*LISTS, *TABLES):
            images = read_path_list(path)
        elif path.exists() or path.is_symlink():
            images = iter([str(path)])
        else:
            raise LongtailError(f"{name} is not there; images are files, folders, or lists of paths")
        first = next(images, None)
        if first is None:
            raise LongtailError(f"{name} holds no images")
        yield first
        yield from images


def find_images_below(folder: Path, skipped: list[str]) -> Iterator[str]:
    """Yield the paths of all images at any depth, without hidden ones, in natural order; append other files to `skipped`."""
    for name, is_folder in sorted(list_folder(folder), key=lambda entry: natural_key(entry[0])):
        for path in walk_files(folder, name) if is_folder else [name]:
            if is_image(folder / path):
                yield str(folder / path)
            else:
                skipped.append(str(folder / path))


def read_path_list(path: Path) -> Iterator[str]:
    """Yield the paths in a list (a path per line, a label after the path is dropped) or in column `path` of a table.

    Relative paths start at the folder of the file; backslashes of Windows become slashes if the files are there then.
    Raises LongtailError for an unreadable file or a missing column, and for backslashes that lead nowhere.
    """
    paths = PathReader(path.parent)
    try:
        if path.suffix.lower() in LISTS:
            entries = (strip_label(line.strip(), paths) for line in read_lines(path) if line.strip())
        else:
            rows = read_cells(path)
            header = [name.strip().lower() for name in next(rows, ("", []))[1]]
            if header.count("path") != 1:
                raise LongtailError(f"{path} has {'no' if 'path' not in header else 'more than one'} column path")
            column = header.index("path")
            entries = (row[column] for _, row in rows if row[column])
        for entry in entries:
            refuse_url(entry)
            yield str(path.parent / paths.read(entry))
        if paths.unresolved and paths.is_windows is None:
            raise LongtailError(
                f"{path}: {paths.unresolved} has backslashes, as on Windows, and is not below {path.parent}, with / "
                "neither; write paths with / that start there"
            )
    except OSError as error:
        raise LongtailError(f"{path} cannot be read as a list of paths: {error}") from error


def strip_label(line: str, paths: PathReader) -> str:
    """Return the path of a line `path` or `path label`; a line that is a file name with blanks stays whole."""
    path, *label = line.rsplit(maxsplit=1)
    return path if label and not paths.finds(line) and paths.finds(path) else line


def decode_batches(
    paths: Iterable[str], transform_set: TransformSet
) -> Iterator[tuple[list[str], Tensor, list[BadImage]]]:
    """Yield batches of images: the paths that can be read, their images (N, 3, S, S), and an error for every other path."""
    eval_transform = build_eval_transform(transform_set)

    def decode(path: str) -> np.ndarray | BadImage:
        try:
            return eval_transform.read(path, path)
        except BadImage as error:
            return error

    paths = iter(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool, suppress_pillow_warnings():
        while batch := list(itertools.islice(paths, BATCH)):
            results = list(zip(batch, pool.map(decode, batch), strict=True))
            good = [(path, pixels) for path, pixels in results if not isinstance(pixels, BadImage)]
            bad = [error for _, error in results if isinstance(error, BadImage)]
            yield [path for path, _ in good], stack_images([pixels for _, pixels in good], transform_set.size), bad


def stack_images(pixels: Sequence[np.ndarray], side: int) -> Tensor:
    """Stack images into a tensor: N arrays (S, S, 3) uint8 -> (N, 3, S, S)."""
    stacked = np.stack(pixels) if pixels else np.empty((0, side, side, 3), dtype=np.uint8)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def to_image_tensor(images: object, transform_set: TransformSet) -> Tensor:
    """Transform one or several images of any kind as for evaluation; return (N, 3, S, S) uint8.

    An image is a path, a PIL image, a uint8 array (H, W, 3) or (N, H, W, 3), or a uint8 tensor (3, H, W) or
    (N, 3, H, W); several may come from anything that `list_images` takes.

    Raises LongtailError for anything else, and for an image that cannot be decoded.
    """
    return stack_images(to_arrays(images, build_eval_transform(transform_set)), transform_set.size)


def list_images(images: Any) -> list | None:
    """Return the images of a list, a generator, a column of a table or an array of paths; None for anything else.

    Raises LongtailError for a table, in which no column is named.
    """
    if hasattr(images, "columns"):
        raise LongtailError("a table is no image; name its column of paths, such as table['path']")
    if isinstance(images, str | bytes | os.PathLike | Image.Image | Tensor | Mapping | Set):
        return None
    if isinstance(images, np.ndarray) and (images.dtype.kind not in "OUT" or not images.ndim):
        return None
    return list(images) if isinstance(images, Iterable) or hasattr(images, "__getitem__") else None


def refuse_url(path: str | os.PathLike) -> None:
    """Raise LongtailError for a URL in place of a path."""
    if URL.match(os.fspath(path)) and not os.path.exists(path):
        raise LongtailError(
            f"{path} is a URL, and images are read from files only; download the images, and name their paths"
        )


def to_arrays(images: Any, eval_transform: EvalTransform) -> list[np.ndarray]:
    """Transform the images that `to_image_tensor` takes; return N arrays (S, S, 3) uint8."""
    if (several := list_images(images)) is not None:
        return [pixels for image in several for pixels in to_arrays(image, eval_transform)]
    if isinstance(images, str | os.PathLike):
        refuse_url(images)
        return [eval_transform.read(str(images), str(images))]
    if isinstance(images, Image.Image):
        try:
            return [eval_transform.transform(to_upright_rgb(images))]
        except Exception as error:  # a decoder may raise anything for a damaged image
            raise LongtailError(f"a {type(images).__name__} of {images.size} cannot be decoded: {error}") from error
    shape = tuple(getattr(images, "shape", ()))
    if 0 in shape[-3:]:
        raise LongtailError(f"an image of shape {shape} has no pixels")
    if isinstance(images, Tensor) and (images.layout != torch.strided or images.is_meta):
        raise LongtailError(
            f"a tensor of layout {images.layout} on {images.device} is no image; make a dense one on cpu"
        )
    if isinstance(images, Tensor) and images.dtype == torch.uint8 and len(shape) in (3, 4) and shape[-3] == 3:
        arrays = images.cpu().reshape(-1, *shape[-3:]).permute(0, 2, 3, 1).numpy()
    elif isinstance(images, np.ndarray) and images.dtype == np.uint8 and len(shape) in (3, 4) and shape[-1] == 3:
        arrays = images.reshape(-1, *shape[-3:])
    else:
        raise LongtailError(
            f"{type(images).__name__} {getattr(images, 'dtype', '')} {shape or ''} is no image: a path, a PIL image, a uint8 "
            "array (H, W, 3) or (N, H, W, 3), a uint8 tensor (3, H, W) or (N, 3, H, W), or a list, generator or column of these"
        )
    return [eval_transform.transform(Image.fromarray(np.ascontiguousarray(array))) for array in arrays]
