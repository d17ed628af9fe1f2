"""Class names: listed with the images, matched between subsets, and put in natural order."""

import os
import re
import unicodedata
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch

from longtail.data.lazy import ImageIndex, LazyImages, PathIndex, make_printable
from longtail.errors import LongtailError

# words that pandas, R and spreadsheets write for a missing value
MISSING_LABELS = {"nan", "na", "n/a", "<na>", "none", "null", "nat", "nil", "#n/a", "missing", "?", "-", "-1"}


@dataclass(frozen=True)
class RawGroups:
    """The group of each of N images as a code (N,), -1 for none, and the name of each code."""

    codes: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class RawSplit:
    """One subset before its classes are aligned: N images, a code for each (N,), and the class name of each code.

    A class without images has a name too. `groups` is the column `group`, if there is one.
    """

    index: ImageIndex
    codes: np.ndarray
    names: list[str]
    groups: RawGroups | None = None

    def take(self, rows: np.ndarray) -> "RawSplit":
        """Return some of the images, in the order of `rows`."""
        groups = self.groups and replace(self.groups, codes=self.groups.codes[rows])
        return replace(self, index=self.index.take(rows), codes=self.codes[rows], groups=groups)


class RawSplitBuilder:
    """A subset whose images are added one by one.

    All paths are kept in one buffer: a Python object for each of millions of images would fill the memory.
    """

    def __init__(self, names: Iterable[str] = ()):
        self.letters, self.ends, self.codes = bytearray(), array("q", [0]), array("q")
        self.names = {name: code for code, name in enumerate(names)}
        self.group_codes, self.group_names = array("q"), dict[str, int]()

    def add(self, path: str, name: str, group: str | None = None) -> None:
        """Add an image of the named class and, in a table with a column `group`, of a group; "" is none."""
        self.letters += os.fsencode(path)
        self.ends.append(len(self.letters))
        self.codes.append(self.names.setdefault(name, len(self.names)))
        if group is not None:
            code = self.group_names.setdefault(group, len(self.group_names)) if group else -1
            self.group_codes.append(code)

    def build(self, folder: str | Path, prefix: str = "") -> RawSplit:
        """Build the subset; paths are below `folder` unless they are absolute, and names begin with `prefix`."""
        import pyarrow as pa

        buffers = [None, pa.py_buffer(self.ends), pa.py_buffer(self.letters)]
        paths = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self.codes), buffers)
        index, codes = PathIndex(str(folder), paths, prefix), np.array(self.codes, dtype=np.int64)
        groups = RawGroups(np.array(self.group_codes, dtype=np.int64), list(self.group_names))
        return RawSplit(index, codes, list(self.names), groups if self.group_codes else None)


def natural_key(name: str) -> tuple:
    """Return the sort key that puts class 9 before class 10."""
    pieces = re.split(r"([0-9]+)", name)
    # digits are at odd places after the split, so numbers are compared with numbers and text with text; a number of more
    # digits is larger, which needs no int() and its limit of 4300 digits
    digits = [piece.lstrip("0") for piece in pieces]
    return [(len(digits[i]), digits[i]) if i % 2 else piece for i, piece in enumerate(pieces)], name


def align_classes(raw_splits: dict[str, RawSplit]) -> tuple[list[str], dict[str, LazyImages], list[str]]:
    """Return the class names of "train" in natural order, every subset with labels in that order, and notes.

    Names are compared in Unicode's composed form (NFC). Raises LongtailError that names classes which train lacks.
    """
    spelled = {subset: [normalize_class_name(name) for name in raw.names] for subset, raw in raw_splits.items()}
    names = sorted(set(spelled["train"]), key=natural_key)
    label_by_name = {name: label for label, name in enumerate(names)}
    aligned = {}
    for subset, raw in raw_splits.items():
        label_by_code = np.array([label_by_name.get(name, -1) for name in spelled[subset]], dtype=np.int64)
        # a class without images may be missing from train: a table of names may list more than a data set holds
        unknown = list(dict.fromkeys(spelled[subset][code] for code in np.unique(raw.codes) if label_by_code[code] < 0))
        if unknown:
            raise unknown_classes_error(subset, unknown, names)
        aligned[subset] = LazyImages(raw.index, torch.from_numpy(label_by_code[raw.codes]))
    notes = note_missing_labels(names, aligned["train"].labels) + note_similar_names(names, raw_splits["train"].names)
    return names, aligned, notes


def normalize_class_name(name: str) -> str:
    """Return a class name as it is shown and compared."""
    # macOS stores accents decomposed, other systems composed
    return unicodedata.normalize("NFC", make_printable(name))


def unknown_classes_error(subset: str, unknown: list[str], names: list[str]) -> LongtailError:
    """Return the error for classes that train lacks; it offers the nearest names."""
    shown = []
    for name in unknown[:10]:
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        shown.append(f"'{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
    more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
    return LongtailError(
        f"the {subset} subset has {len(unknown)} classes that the train subset lacks: {', '.join(shown)}{more}; "
        "rename them, or add each to train, with or without images"
    )


def note_missing_labels(names: list[str], labels: torch.Tensor) -> list[str]:
    """Return a note on class names that tables hold where a label is missing."""
    counts = torch.bincount(labels, minlength=len(names)).tolist()
    found = [
        f"'{name}' ({n} images)" for name, n in zip(names, counts, strict=True) if name.casefold() in MISSING_LABELS
    ]
    if not found:
        return []
    return [
        f"{', '.join(found)} may stand for a missing label, and is a class here; if it is none, remove these images"
    ]


def note_similar_names(names: list[str], spelled: list[str]) -> list[str]:
    """Return notes on class names that differ by case or blanks only or are one number, and on names that were merged."""
    by_plain_name: dict[str, list[str]] = {}
    for name in names:
        by_plain_name.setdefault(" ".join(name.casefold().split()), []).append(name)
    groups = [" and ".join(f"'{name}'" for name in group) for group in by_plain_name.values() if len(group) > 1]
    notes = []
    if groups:
        notes.append(f"classes that differ by case or blanks only are kept apart: {', '.join(groups[:5])}")
    by_number: dict[float, list[str]] = {}
    for name in names:
        if re.fullmatch(r"[+-]?\d+(\.\d*)?", name):
            by_number.setdefault(float(name), []).append(name)
    equal = [" and ".join(f"'{name}'" for name in group) for group in by_number.values() if len(group) > 1]
    if equal:
        notes.append(f"classes that are the same number are kept apart: {', '.join(equal[:5])}")
    merged = len(set(spelled)) - len(names)
    if merged:
        notes.append(f"{merged} class names that differ only in the Unicode form of their letters were merged")
    return notes
