"""A data set: images in memory or left in their files, labels, and the one class table that all else reads.

A part of a `Split` is `Images` (uint8 tensors of one size) or, where a set is too large for memory, `Files` (see
files.py). Both have `labels`, a length, `take(rows)` and `digest()`; only `Images` has pixels.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from longtail.data.lazy import LazyImages
from longtail.metrics import shot_group


@dataclass(frozen=True)
class ClassTable:
    """Class names in label order and the number of training images of each; never re-numbered by frequency."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def from_labels(cls, names: list[str], labels: Tensor) -> "ClassTable":
        """The table of a training split, (N,) labels."""
        return cls(tuple(names), tuple(torch.bincount(labels, minlength=len(names)).tolist()))

    def __len__(self) -> int:
        return len(self.names)

    def notes(self) -> list[str]:
        """What a user should know of it."""
        unseen = [name for name, count in zip(self.names, self.counts, strict=True) if not count]
        return [f"no training images of {len(unseen)} classes: {', '.join(unseen[:10])}"] if unseen else []

    @property
    def groups(self) -> list[str]:
        """many, medium or few, a class."""
        return [shot_group(n) for n in self.counts]


@dataclass(frozen=True)
class TensorImages:
    """Images (N, 3, H, W) uint8 and their labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Sequence[int] | np.ndarray) -> "TensorImages":
        """Some of them, in the order asked for."""
        rows = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        return TensorImages(self.images[rows], self.labels[rows])

    def digest(self) -> str:
        """Sha256 of the labels and pixels."""
        sha = hashlib.sha256(np.ascontiguousarray(self.labels.numpy(), dtype="<i8"))
        sha.update(np.ascontiguousarray(self.images.numpy()))
        return sha.hexdigest()


@dataclass(frozen=True)
class Split:
    """Training, test and perhaps validation images with the class table of training; notes are what the run tells its user."""

    name: str
    classes: ClassTable
    train: TensorImages | LazyImages
    test: TensorImages | LazyImages
    notes: list[str] = field(default_factory=list)
    val: TensorImages | LazyImages | None = None

    @property
    def subsets(self) -> dict[str, TensorImages | LazyImages]:
        """Those that there are, by name."""
        found = {"train": self.train, "val": self.val, "test": self.test}
        return {name: part for name, part in found.items() if part is not None}

    def describe(self) -> dict:
        """What `split.json` holds: the class table and hashes of what was trained and tested on."""
        table = {"data": self.name, "classes": list(self.classes.names), "train_counts": list(self.classes.counts)}
        sizes = {f"{name}_images": len(part) for name, part in self.subsets.items()}
        shape = None if isinstance(self.train, LazyImages) else list(self.train.images.shape[1:])
        return table | sizes | {"image_shape": shape} | {f"{name}_sha256": self.digest(name) for name in self.subsets}

    def digest(self, part: str) -> str | None:
        """Sha256 of the "train", "val" or "test" part; see there."""
        return self.subsets[part].digest() if part in self.subsets else None
