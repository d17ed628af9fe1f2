"""A data set in memory: images, labels, and the one class table that all losses, samplers and metrics read."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from longtail.metrics import group_of


@dataclass(frozen=True)
class ClassTable:
    """Class names in label order and the number of training images of each; never re-numbered by frequency."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, names: list[str], labels: Tensor) -> "ClassTable":
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
        return [group_of(n) for n in self.counts]


@dataclass(frozen=True)
class Images:
    """Images (N, 3, H, W) uint8 and their labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Split:
    """Training and test images with the class table of the training part; notes are what the run tells its user."""

    name: str
    classes: ClassTable
    train: Images
    test: Images
    notes: list[str] = field(default_factory=list)

    def describe(self) -> dict:
        """What `split.json` holds: the class table and hashes of what was trained and tested on."""
        return {
            "data": self.name,
            "classes": list(self.classes.names),
            "train_counts": list(self.classes.counts),
            "train_images": len(self.train),
            "test_images": len(self.test),
            "image_shape": list(self.train.images.shape[1:]),
            "train_sha256": self.digest("train"),
            "test_sha256": self.digest("test"),
        }

    def digest(self, part: str) -> str:
        """Sha256 of the labels and pixels of the "train" or "test" part."""
        images = {"train": self.train, "test": self.test}[part]
        sha = hashlib.sha256(np.ascontiguousarray(images.labels.numpy(), dtype="<i8"))
        sha.update(np.ascontiguousarray(images.images.numpy()))
        return sha.hexdigest()
