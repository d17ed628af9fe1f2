"""A data set: its images in memory or in their files, their labels, and the one class table that everything else reads.

A subset of a `Split` is `TensorImages` (uint8 tensors of one size), `LazyImages` for a set too large for memory (see lazy.py),
or a `FeatureSet` of a frozen encoder (see features.py). All have `labels`, a length, `take(rows)` and `digest()`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from longtail.data.features import FeatureSet
from longtail.data.lazy import ImageIndex, LazyImages, take_index
from longtail.metrics import shot_group


@dataclass(frozen=True)
class ClassTable:
    """Class names in label order and the number of training images of each; never re-numbered by frequency."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def from_labels(cls, names: list[str], labels: Tensor) -> "ClassTable":
        """Count the training labels (N,) of each class."""
        return cls(tuple(names), tuple(torch.bincount(labels, minlength=len(names)).tolist()))

    def __len__(self) -> int:
        return len(self.names)

    def notes(self) -> list[str]:
        """Return a note on classes without training images, if there are any."""
        unseen = [name for name, count in zip(self.names, self.counts, strict=True) if not count]
        return [f"no training images of {len(unseen)} classes: {', '.join(unseen[:10])}"] if unseen else []

    @property
    def groups(self) -> list[str]:
        """Return "many", "medium" or "few" for each class."""
        return [shot_group(n) for n in self.counts]


@dataclass(frozen=True)
class TensorImages:
    """Images (N, 3, H, W) uint8, their labels (N,) int64, the index of the files they were read from, and groups as in files."""

    images: Tensor
    labels: Tensor
    index: ImageIndex | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Sequence[int] | np.ndarray) -> "TensorImages":
        """Return some of the images, in the order of `rows`."""
        rows = np.asarray(rows, dtype=np.int64)
        index, groups = torch.from_numpy(rows), None if self.groups is None else self.groups[rows]
        return TensorImages(self.images[index], self.labels[index], take_index(self.index, rows), groups)

    def digest(self) -> str:
        """Compute the sha256 of the labels and pixels."""
        sha = hashlib.sha256(self.labels.numpy().astype("<i8").tobytes())
        sha.update(np.ascontiguousarray(self.images.numpy()).data)
        return sha.hexdigest()


Subset = TensorImages | LazyImages | FeatureSet


def list_names(images: Subset) -> list[str]:
    """Return the name of each image for results: a relative path, the row of a file, or its position in the subset."""
    return [f"image {i}" if images.index is None else images.index.short_name(i) for i in range(len(images))]


@dataclass(frozen=True)
class Split:
    """Training, test and perhaps validation images with the class table of training; a run shows its user the notes.

    `grouping` says what named the groups of images that no split divides, as in a `Listing`. `test_share` is the share of
    each class that was held out to test on. `commits` are those of data sets of the hub, by the name that the user gave.
    """

    name: str
    classes: ClassTable
    train: Subset
    test: Subset
    notes: list[str] = field(default_factory=list)
    val: Subset | None = None
    grouping: str | None = None
    test_share: float = 0.0
    commits: dict[str, str] = field(default_factory=dict)

    @property
    def subsets(self) -> dict[str, Subset]:
        """Return the subsets by name, "val" only if there is one."""
        every = {"train": self.train, "val": self.val, "test": self.test}
        return {name: images for name, images in every.items() if images is not None}

    @property
    def image_subsets(self) -> dict[str, TensorImages | LazyImages]:
        """Return the subsets that hold images, by name."""
        return {name: images for name, images in self.subsets.items() if not isinstance(images, FeatureSet)}

    def describe(self) -> dict:
        """Return the content of `split.json`: the class table, and the size and hash of each subset."""
        table = {"data": self.name, "classes": list(self.classes.names), "train_counts": list(self.classes.counts)}
        sizes = {f"{name}_images": len(images) for name, images in self.subsets.items()}
        shape = list(self.train.images.shape[1:]) if isinstance(self.train, TensorImages) else None
        digests = {f"{name}_sha256": self.digest(name) for name in self.subsets}
        return table | sizes | {"image_shape": shape} | digests | ({"commits": self.commits} if self.commits else {})

    def digest(self, subset: str) -> str | None:
        """Return the sha256 of a subset, or None if there is none of that name."""
        return self.subsets[subset].digest() if subset in self.subsets else None
