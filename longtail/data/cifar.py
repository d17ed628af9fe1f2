"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from parquet files, from the official archive, or downloaded."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from longtail.data.classes import RawSplit
from longtail.data.decode import open_image, to_rgb
from longtail.data.lazy import ImageIndex
from longtail.data.parquet import clear_caches, read_class_names, read_raw_split
from longtail.data.split import TensorImages
from longtail.errors import LongtailError

SIDE = 32  # pixels


@dataclass(frozen=True)
class Pool:
    """Class names, training labels in file order, a reader of chosen training images, and a reader of the test subset."""

    names: list[str]
    train_labels: np.ndarray
    train_images: Callable[[Sequence[int]], Tensor]
    test: Callable[[], TensorImages]


def load_cifar_pool(name: str, root: Path | None) -> Pool:
    """Load the pool of "cifar10" or "cifar100": a parquet pair under root, the official archive, or a verified download.

    Raises LongtailError if root holds neither, or nothing can be downloaded.
    """
    classes = 10 if name == "cifar10" else 100
    if root is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "longtail"
        return read_official_archive(name, cache, download=True)
    if not root.is_dir():
        raise LongtailError(f"{root} is not a folder; --root takes the folder that holds {name}'s files")
    if (root / "train.parquet").exists() or (root / "test.parquet").exists():
        return read_parquet_pair(root, classes)
    return read_official_archive(name, root, download=False)


def read_parquet_pair(root: Path, classes: int) -> Pool:
    """Read train.parquet and test.parquet; raises LongtailError if they do not hold one CIFAR with `classes` classes."""
    train, test = (list_cifar_file(root / f"{subset}.parquet", classes) for subset in ("train", "test"))
    if train.names != test.names:
        raise LongtailError(f"{root}: train.parquet and test.parquet name their classes differently")

    def read_test() -> TensorImages:
        return TensorImages(decode_images(test.index, range(len(test.codes))), torch.from_numpy(test.codes))

    return Pool(train.names, train.codes, lambda rows: decode_images(train.index, rows), read_test)


def list_cifar_file(path: Path, classes: int) -> RawSplit:
    """List one parquet file with its classes in label order; raises LongtailError for a file of another data set."""
    if not path.exists():
        raise LongtailError(f"{path} is missing; the folder must hold train.parquet and test.parquet")
    raw_split = read_raw_split([path])
    names, numbers = raw_split.names, [str(label) for label in range(classes)]
    if not len(raw_split.codes):
        raise LongtailError(f"{path} holds no rows; it must hold the images of {classes} classes")
    if read_class_names(str(path)) is not None:
        if len(names) != classes:
            raise LongtailError(f"{path} names {len(names)} classes, expected {classes}; is it the other CIFAR?")
        return raw_split
    if unknown := sorted(set(names) - set(numbers)):
        raise LongtailError(f"{path} must hold labels 0 to {classes - 1} but has label {unknown[0]}")
    # without names in the schema, codes are in order of appearance
    labels = np.array([int(name) for name in names], dtype=np.int64)[raw_split.codes]
    return RawSplit(raw_split.index, labels, numbers)


def decode_images(index: ImageIndex, rows: Sequence[int]) -> Tensor:
    """Decode chosen images to (N, 3, 32, 32) uint8; raises LongtailError naming file and row of one that is unusable."""
    pixels = np.empty((len(rows), SIDE, SIDE, 3), dtype=np.uint8)
    order = np.argsort(rows, kind="stable").tolist()  # ascending rows read each group of a parquet file once
    sources = [index.source(rows[place]) for place in order]
    clear_caches()  # the groups of rows are not needed again
    for place, source in zip(order, sources, strict=True):
        name = index.name(rows[place])
        with open_image(source, name) as image:
            # a conversion copies RGB too, which costs a twentieth of the loading time
            rgb = np.asarray(image if image.mode == "RGB" else to_rgb(image))
        if rgb.shape != pixels.shape[1:]:
            raise LongtailError(f"{name}: the image is {rgb.shape[0]} x {rgb.shape[1]}, expected {SIDE} x {SIDE}")
        pixels[place] = rgb
    return to_image_tensor(pixels)


def read_official_archive(name: str, root: Path, download: bool) -> Pool:
    """Read the archive that torchvision knows; raises LongtailError if it is missing, damaged or not to be downloaded."""
    import torchvision
    from torchvision.datasets.utils import check_integrity

    kind = torchvision.datasets.CIFAR10 if name == "cifar10" else torchvision.datasets.CIFAR100
    archive = root / kind.filename
    if not download and archive.exists() and not check_integrity(archive, kind.tgz_md5):
        raise LongtailError(f"{archive} is not the official archive of {name} (another MD5 sum); download it again")
    try:
        if download:
            root.mkdir(parents=True, exist_ok=True)
        elif not archive.exists() and not (root / kind.base_folder).is_dir():
            raise LongtailError(
                f"{root} holds neither train.parquet and test.parquet, nor {kind.filename}, nor {kind.base_folder}/"
            )
        # an archive that is already there is checked and unpacked, not downloaded
        train, test = (kind(root, train=is_train, download=download or archive.exists()) for is_train in (True, False))
    except LongtailError:
        raise
    except Exception as error:  # torchvision raises many types for a download that fails or a damaged archive
        failure = "could not download" if download else f"could not read, from {root},"
        raise LongtailError(
            f"{failure} {name} ({type(error).__name__}: {error}); pass --root with the folder that holds the official archive "
            "or a train.parquet and test.parquet"
        ) from error
    test_labels = torch.tensor(test.targets, dtype=torch.int64)
    return Pool(
        train.classes,
        np.asarray(train.targets, dtype=np.int64),
        lambda rows: to_image_tensor(train.data[rows]),
        lambda: TensorImages(to_image_tensor(test.data), test_labels),
    )


def to_image_tensor(data: np.ndarray) -> Tensor:
    """Convert an array of images to a tensor: (N, H, W, 3) -> (N, 3, H, W)."""
    return torch.from_numpy(data).permute(0, 3, 1, 2).contiguous()
