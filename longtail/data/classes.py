"""Classes are names: matched between the parts of a data set, and put in their natural order."""

import os
import re
import unicodedata
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch

from longtail.data.lazy import ImageIndex, LazyImages, PathIndex, make_printable
from longtail.errors import LongtailError


@dataclass(frozen=True)
class RawSplit:
    """One part as it was found: places, a code for each image (N,), and the class name of each code, images or not."""

    index: ImageIndex
    codes: np.ndarray
    names: list[str]


class RawSplitBuilder:
    """A part whose images are found one by one: their paths end to end, no Python object for each."""

    def __init__(self, names: Iterable[str] = ()):
        self.letters, self.ends, self.codes = bytearray(), array("q", [0]), array("q")
        self.names = {name: code for code, name in enumerate(names)}

    def add(self, path: str, name: str) -> None:
        """An image of the named class."""
        self.letters += os.fsencode(path)
        self.ends.append(len(self.letters))
        self.codes.append(self.names.setdefault(name, len(self.names)))

    def part(self, folder: str | Path) -> RawSplit:
        """All of them, their paths below the folder unless absolute."""
        import pyarrow as pa

        buffers = [None, pa.py_buffer(self.ends), pa.py_buffer(self.letters)]
        paths = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self.codes), buffers)
        return RawSplit(PathIndex(str(folder), paths), np.array(self.codes, dtype=np.int64), list(self.names))


def natural_key(name: str) -> tuple:
    """The sort key by which class 10 comes after class 9."""
    pieces = re.split(r"([0-9]+)", name)
    return [int(piece) if place % 2 else piece for place, piece in enumerate(pieces)], name


def align_classes(parts: dict[str, RawSplit]) -> tuple[list[str], dict[str, LazyImages], list[str]]:
    """The class names of the training part in natural order, every part with labels in that order, and notes.

    Names are compared in Unicode's composed form (NFC). Raises LongtailError naming the classes that training lacks.
    """
    spelled = {part: [normalize_class_name(name) for name in found.names] for part, found in parts.items()}
    names = sorted(set(spelled["train"]), key=natural_key)
    place = {name: label for label, name in enumerate(names)}
    files = {}
    for part, found in parts.items():
        label_of = np.array([place.get(name, -1) for name in spelled[part]], dtype=np.int64)
        unknown = [spelled[part][code] for code in np.unique(found.codes) if label_of[code] < 0]
        if unknown:
            raise unknown_classes_error(part, unknown, names)
        files[part] = LazyImages(found.index, torch.from_numpy(label_of[found.codes]))
    return names, files, note_lookalikes(names, parts["train"].names)


def normalize_class_name(name: str) -> str:
    """A class name as it is shown and compared."""
    return unicodedata.normalize("NFC", make_printable(name))


def unknown_classes_error(part: str, unknown: list[str], names: list[str]) -> LongtailError:
    """The error for classes of another part that training has not; the nearest are offered."""
    shown = []
    for name in unknown[:10]:
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        shown.append(f"'{name}'" + (f" (did you mean '{near[0]}'?)" if near else ""))
    more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
    return LongtailError(
        f"the {part} part has {len(unknown)} classes that the train part has not: {', '.join(shown)}{more}; "
        "rename them, or give each a place in train, which may be empty"
    )


def note_lookalikes(names: list[str], spelled: list[str]) -> list[str]:
    """Notes on classes that are the same but for case, and on names taken together for being the same but for accents' form."""
    notes, seen = [], {}
    for name in names:
        seen.setdefault(name.casefold(), []).append(name)
    twins = [" and ".join(f"'{name}'" for name in group) for group in seen.values() if len(group) > 1]
    if twins:
        notes.append(f"classes that differ by case only are kept apart: {', '.join(twins[:5])}")
    merged = len(set(spelled)) - len(names)
    if merged:
        notes.append(f"{merged} class names that differ only in how Unicode composes their letters were taken together")
    return notes
