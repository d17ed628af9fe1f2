"""What there is to know of a data set before training: counts, imbalance, what cannot be read, sizes, duplicates."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from longtail.data import ClassTable, LazyImages, TensorImages
from longtail.data.decode import ImageHeader
from longtail.data.memory import ReadErrors, try_each
from longtail.inspection.duplicates import Duplicates, find_duplicates

WHOLE_BYTES = 1 << 28  # sets up to this size are decoded to the end unasked; of larger ones, headers are read


@dataclass(frozen=True)
class Headers:
    """Sides (N, 2) in pixels of the readable images, their formats and modes, and what is wrong with the others."""

    sides: np.ndarray
    kinds: Counter
    bad: ReadErrors
    whole: bool  # whether every image was decoded to its end


@dataclass(frozen=True)
class Facts:
    """A data set as it was found; `counts` has the images of each class by part."""

    name: str
    data: str
    classes: ClassTable
    counts: dict[str, list[int]]
    subsets: dict[str, LazyImages | TensorImages]
    looks: Headers
    duplicates: Duplicates
    notes: list[str]

    @property
    def imbalance(self) -> float | None:
        """Images of the largest class over those of the smallest that has any; None without images."""
        seen = [count for count in self.classes.counts if count]
        return max(seen) / min(seen) if seen else None

    @property
    def gini(self) -> float:
        """Gini coefficient of the training counts: 0 where classes are equal, near 1 where one has all images."""
        counts = np.sort(np.array(self.classes.counts, dtype=np.float64))
        n, total = len(counts), max(counts.sum(), 1)
        return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * total))

    def absent(self, part: str) -> list[str]:
        """Classes without an image in a part."""
        return [name for name, count in zip(self.classes.names, self.counts[part], strict=True) if not count]

    def smallest(self, most: int = 5) -> list[tuple[str, int]]:
        """The classes with fewest training images."""
        return sorted(zip(self.classes.names, self.classes.counts, strict=True), key=lambda pair: pair[1])[:most]

    def place(self, i: int) -> str:
        """Where the i-th of all images is, and its class."""
        part = int(self.duplicates.part[i])
        start = int(np.searchsorted(self.duplicates.part, part))
        images, name = self.subsets[self.duplicates.subsets[part]], self.classes.names[int(self.duplicates.labels[i])]
        where = (
            images.name(i - start)
            if isinstance(images, LazyImages)
            else f"{self.duplicates.subsets[part]} image {i - start}"
        )
        return f"{where} (class {name})"


def collect_facts(
    name: str, data: str, names: list[str], parts: dict[str, LazyImages | TensorImages], notes: list[str], every: bool
) -> Facts:
    """Everything at once; reads each file's header, or all of it if the set is small or `every` is asked for."""
    classes = ClassTable.from_labels(names, parts["train"].labels)
    counts = {part: list(ClassTable.from_labels(names, images.labels).counts) for part, images in parts.items()}
    return Facts(name, data, classes, counts, parts, read_headers(parts, every), find_duplicates(parts), notes)


def read_headers(parts: dict[str, LazyImages | TensorImages], every: bool) -> Headers:
    """Look at each image of each part."""
    sides, kinds, bad = [], Counter(), ReadErrors()
    if not isinstance(parts["train"], LazyImages):
        sides = np.concatenate([np.full((len(images), 2), images.images.shape[-1]) for images in parts.values()])
        return Headers(sides, Counter({"RGB, in memory": len(sides)}), ReadErrors(), True)
    whole = every or sum(part.index.size(i) for part in parts.values() for i in range(len(part))) <= WHOLE_BYTES
    for part in parts.values():
        found, faults, seen = read_subset_headers(part, whole)
        sides.append(found)
        kinds += seen
        bad += faults
    return Headers(np.concatenate(sides), kinds, bad, whole)


def read_subset_headers(files: LazyImages, whole: bool) -> tuple[np.ndarray, ReadErrors, Counter]:
    """Sides (N, 2) of the readable images of a part, what is wrong with the others, and how many there are of each kind."""
    sides, codes = np.zeros((len(files), 2), dtype=np.int32), np.zeros(len(files), dtype=np.int16)
    kinds: dict[str, int] = {}

    def look(i: int) -> None:
        seen: ImageHeader = files.look(i, whole)
        sides[i] = seen.width, seen.height
        codes[i] = kinds.setdefault(f"{seen.format} {seen.mode}", len(kinds))

    good, bad = try_each(look, len(files))
    times = np.bincount(codes[good], minlength=len(kinds)).tolist()
    return sides[good], bad, Counter(dict(zip(kinds, times, strict=True)))
