"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from parquet files, from the official archive, or downloaded."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from longtail.data.parquet import decode, read_parquet
from longtail.data.split import TensorImages
from longtail.errors import LongtailError


@dataclass(frozen=True)
class Pool:
    """Training labels in file order, the images of chosen positions on demand, and the test part."""

    names: list[str]
    train_labels: np.ndarray
    train_images: Callable[[Sequence[int]], Tensor]
    test: Callable[[], TensorImages]


def load_cifar_pool(name: str, root: Path | None) -> Pool:
    """The pool of "cifar10" or "cifar100": a parquet pair under root, the official archive there, or a verified download.

    Raises LongtailError if root holds neither, or nothing can be downloaded.
    """
    classes = 10 if name == "cifar10" else 100
    if root is None:
        return _official(name, _cache(), classes, download=True)
    if not root.is_dir():
        raise LongtailError(f"{root} is not a folder; --root takes the folder that holds {name}'s files")
    if (root / "train.parquet").exists() or (root / "test.parquet").exists():
        return _from_parquet(root, classes)
    return _official(name, root, classes, download=False)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "longtail"


def _from_parquet(root: Path, classes: int) -> Pool:
    train, test = (read_parquet(root / f"{part}.parquet", classes) for part in ("train", "test"))
    if train.names != test.names:
        raise LongtailError(f"{root}: train.parquet and test.parquet name their classes differently")

    def images_of(file, rows: Sequence[int]) -> Tensor:
        return decode(file, rows, size=(32, 32))

    def test_part() -> TensorImages:
        return TensorImages(images_of(test, range(len(test.labels))), torch.tensor(test.labels))

    return Pool(train.names, train.labels, lambda rows: images_of(train, rows), test_part)


def _official(name: str, root: Path, classes: int, download: bool) -> Pool:
    import torchvision
    from torchvision.datasets.utils import check_integrity

    kind = torchvision.datasets.CIFAR10 if classes == 10 else torchvision.datasets.CIFAR100
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
        parts = [kind(root, train=part, download=download or archive.exists()) for part in (True, False)]
    except LongtailError:
        raise
    except Exception as error:
        what = "could not download" if download else f"could not read, from {root},"
        raise LongtailError(
            f"{what} {name} ({type(error).__name__}: {error}); pass --root with the folder that holds the official archive "
            "or a train.parquet and test.parquet"
        ) from error
    train, test = parts

    def images_of(data: np.ndarray) -> Tensor:
        return torch.from_numpy(data).permute(0, 3, 1, 2).contiguous()

    labels = np.asarray(train.targets, dtype=np.int64)
    test_labels = torch.tensor(test.targets, dtype=torch.int64)
    return Pool(
        train.classes,
        labels,
        lambda rows: images_of(train.data[rows]),
        lambda: TensorImages(images_of(test.data), test_labels),
    )
