"""The facts about a data set before training: counts, imbalance, unreadable images, sizes, duplicates."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from longtail.data import ClassTable, LazyImages, TensorImages
from longtail.data.decode import ImageHeader
from longtail.data.memory import ReadErrors, try_each
from longtail.inspection.duplicates import Duplicates, find_duplicates
from longtail.inspection.near import NearDuplicates
from longtail.inspection.tracks import Tracks, find_tracks

DECODE_BYTES = 1 << 28  # sets up to this size are decoded to the end; larger sets only with --every

LONG = 1.5  # longer side over shorter: a third of such an image is cut off


@dataclass(frozen=True)
class Headers:
    """Sides (N, 2) in pixels and kinds (format, mode, range) of the readable images, and errors of the unreadable images."""

    sides: np.ndarray
    kinds: Counter[str]
    bad: ReadErrors
    is_decoded: bool  # whether every image was decoded to its end

    @property
    def long_share(self) -> float:
        """Return the share of the readable images that are longer than LONG to 1."""
        return float((self.sides.max(1) > LONG * self.sides.min(1)).mean()) if len(self.sides) else 0.0


@dataclass(frozen=True)
class Facts:
    """The facts about a data set; `counts` has the images of each class for each subset."""

    name: str
    data: str
    classes: ClassTable
    counts: dict[str, list[int]]
    subsets: dict[str, LazyImages | TensorImages]
    headers: Headers
    duplicates: Duplicates
    notes: list[str]
    tracks: Tracks | None = None  # None also where the groups of images are known
    near: NearDuplicates | None = None  # None unless a network was named to find them

    @property
    def imbalance(self) -> float | None:
        """Return the images of the largest class over those of the smallest class with images; None without images."""
        counts = [count for count in self.classes.counts if count]
        return max(counts) / min(counts) if counts else None

    @property
    def gini(self) -> float:
        """Return the Gini coefficient of the training counts: 0 for equal classes, near 1 if one class has all images."""
        counts = np.sort(np.array(self.classes.counts, dtype=np.float64))
        n, total = len(counts), max(counts.sum(), 1)
        return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * total))

    def find_empty_classes(self, subset: str) -> list[str]:
        """Return the classes without an image in a subset."""
        return [name for name, count in zip(self.classes.names, self.counts[subset], strict=True) if not count]

    def find_smallest_classes(self, most: int = 5) -> list[tuple[str, int]]:
        """Return name and training images of the classes with the fewest training images."""
        return sorted(zip(self.classes.names, self.classes.counts, strict=True), key=lambda pair: pair[1])[:most]

    def locate_image(self, i: int) -> tuple[str, int]:
        """Return the subset of the i-th of all images, and its position there."""
        k = int(self.duplicates.subset_index[i])
        return self.duplicates.subsets[k], i - int(np.searchsorted(self.duplicates.subset_index, k))

    def name_image(self, i: int) -> str:
        """Return path or position of the i-th of all images."""
        subset, position = self.locate_image(i)
        images = self.subsets[subset]
        return images.name(position) if isinstance(images, LazyImages) else f"{subset} image {position}"

    def name_class(self, i: int) -> str:
        """Return the class of the i-th of all images."""
        return self.classes.names[int(self.duplicates.labels[i])]

    def describe_image(self, i: int) -> str:
        """Return path or position of the i-th of all images, and its class."""
        return f"{self.name_image(i)} (class {self.name_class(i)})"


def collect_facts(
    name: str,
    data: str,
    names: list[str],
    subsets: Mapping[str, LazyImages | TensorImages],
    notes: list[str],
    every: bool,
    grouping: str | None = None,
) -> Facts:
    """Collect all facts; reads the header of each file, or decodes the file if the set is small or `every` is true.

    `grouping` says what names the groups of images, as in a `Listing`; without it, file names may suggest groups.
    """
    classes = ClassTable.from_labels(names, subsets["train"].labels)
    counts = {subset: list(ClassTable.from_labels(names, images.labels).counts) for subset, images in subsets.items()}
    headers, duplicates = read_headers(subsets, every), find_duplicates(dict(subsets))
    tracks = None if grouping else find_tracks(subsets)
    return Facts(name, data, classes, counts, dict(subsets), headers, duplicates, notes, tracks)


def read_headers(subsets: Mapping[str, LazyImages | TensorImages], every: bool) -> Headers:
    """Read the headers of all images of all subsets."""
    files = [images for images in subsets.values() if isinstance(images, LazyImages)]
    if not files:
        tensors = [images.images for images in subsets.values() if isinstance(images, TensorImages)]
        sides = np.concatenate([np.full((len(tensor), 2), tensor.shape[-1]) for tensor in tensors])
        return Headers(sides, Counter({"RGB, in memory": len(sides)}), ReadErrors(), True)
    decode = every or sum(images.index.size(i) for images in files for i in range(len(images))) <= DECODE_BYTES
    read = [read_subset_headers(images, decode) for images in files]
    kinds = sum((kinds for _, _, kinds in read), Counter())
    bad = sum((errors for _, errors, _ in read), ReadErrors())
    return Headers(np.concatenate([sides for sides, _, _ in read]), kinds, bad, decode)


def read_subset_headers(images: LazyImages, decode: bool) -> tuple[np.ndarray, ReadErrors, Counter[str]]:
    """Return sides (N, 2) of the readable images, the errors of the unreadable images, and the number of each kind."""
    sides, codes = np.zeros((len(images), 2), dtype=np.int32), np.zeros(len(images), dtype=np.int16)
    kinds: dict[str, int] = {}

    def read_header(i: int) -> None:
        header: ImageHeader = images.read_header(i, decode)
        sides[i] = header.width, header.height
        kind = f"{header.format} {header.mode} {header.gray_range}".rstrip()
        codes[i] = kinds.setdefault(kind, len(kinds))

    good, bad = try_each(read_header, len(images))
    numbers = np.bincount(codes[good], minlength=len(kinds)).tolist()
    return sides[good], bad, Counter(dict(zip(kinds, numbers, strict=True)))
