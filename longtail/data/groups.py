"""Groups of images, such as the frames of a track or the photographs of a site, which stay in one subset of every split."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from longtail.data.classes import RawGroups, RawSplit
from longtail.data.lazy import ImageIndex, LazyImages, PathIndex
from longtail.data.parquet import ParquetIndex
from longtail.data.subset_columns import read_image_paths
from longtail.errors import LongtailError
from longtail.validation import check_pattern

COLUMN, AUTO = "column", "auto"  # values of `group` beside regular expressions; auto: the column, if there is one


@dataclass(frozen=True)
class Grouping:
    """The numbers of groups (N,) for each subset, equal across subsets for equal groups; `names` has those with a name.

    `source` is "column" or a regular expression. Images without a group have numbers of their own, beyond the names.
    """

    source: str
    numbers: dict[str, np.ndarray]
    names: list[str]

    def describe(self) -> str:
        """Return one line on the groups and on the images without a group."""
        every = np.concatenate(list(self.numbers.values()))
        alone = int((every >= len(self.names)).sum())
        largest = max(np.bincount(every).tolist())
        how = "the column group" if self.source == COLUMN else f"--group '{self.source}'"
        line = f"{len(self.names):,} groups of up to {largest:,} images by {how}; a group is never divided"
        return line + (f"; {alone:,} images without a group are a group of their own each" if alone else "")

    def note_shared(self, subsets: Mapping[str, LazyImages]) -> list[str]:
        """Return a note for each subset that shares groups with train, with an example."""
        notes, groups = [], {name: images.groups for name, images in subsets.items() if images.groups is not None}
        for subset in groups:
            is_shared = np.isin(groups[subset], groups["train"]) & (subset != "train")
            shared = np.unique(groups[subset][is_shared])
            if len(shared):
                number = f"{len(shared):,} groups are" if len(shared) > 1 else "1 group is"
                notes.append(
                    f"{number} in both train and {subset}, such as '{self.names[shared[0]]}': {int(is_shared.sum()):,} of "
                    f"{len(is_shared):,} {subset} images have relatives in train, which inflates {subset} accuracy"
                )
        return notes


def find_groups(raw_splits: Mapping[str, RawSplit], group: str | None) -> Grouping | None:
    """Return the groups by the column `group` or by a regular expression over paths; None if there are no groups.

    Raises LongtailError if the column or the paths are not there, and for an expression that groups nothing.
    """
    if group is None:
        return None
    if group not in (COLUMN, AUTO):
        return number_groups(group, match_groups(raw_splits, group))
    columns = {subset: raw.groups for subset, raw in raw_splits.items()}
    if any(columns.values()):
        sizes = {subset: len(raw.codes) for subset, raw in raw_splits.items()}
        empty = {subset: RawGroups(np.full(n, -1), []) for subset, n in sizes.items()}
        return number_groups(COLUMN, {subset: columns[subset] or empty[subset] for subset in columns})
    if group == COLUMN:
        raise LongtailError("group is column, but there is no table with a column group; leave --group out")
    return None


def number_groups(source: str, found: Mapping[str, RawGroups]) -> Grouping:
    """Number the groups of all subsets, equal names alike."""
    code_by_name = {
        name: code for code, name in enumerate(dict.fromkeys(n for part in found.values() for n in part.names))
    }
    numbers, free = {}, len(code_by_name)
    for subset, part in found.items():
        is_alone = part.codes < 0
        numbers[subset] = np.array([code_by_name[name] for name in part.names] + [-1])[part.codes]
        numbers[subset][is_alone] = np.arange(free, free := free + int(is_alone.sum()))
    return Grouping(source, numbers, list(code_by_name))


def match_groups(raw_splits: Mapping[str, RawSplit], pattern: str) -> dict[str, RawGroups]:
    """Return the group that a regular expression names for each path.

    Raises LongtailError if no path matches, and if no two images are in one group.
    """
    get_group, first = build_matcher(pattern), ""
    found: dict[str, RawGroups] = {}
    for subset, raw in raw_splits.items():
        paths = list_paths(raw.index)
        if paths is None:
            raise LongtailError(
                f"group is '{pattern}', but the rows of {raw.index.name(0)} have no paths; add a column group"
            )
        words = [get_group(path) for path in paths]
        names = {name: code for code, name in enumerate(dict.fromkeys(filter(None, words)))}
        found[subset] = RawGroups(np.array([names.get(word, -1) for word in words], dtype=np.int64), list(names))
        first = first or next(iter(paths), "")
    matched = sum(int((part.codes >= 0).sum()) for part in found.values())
    if not matched:
        raise LongtailError(f"group is '{pattern}', which matches no path, such as {first}; it is a regular expression")
    if matched == len({name for part in found.values() for name in part.names}):
        raise LongtailError(f"group is '{pattern}', which gives every image a group of its own; leave --group out")
    return found


def build_matcher(pattern: str) -> Callable[[str], str]:
    """Return a function from a path to its group, "" for none: the first group of the expression, or the whole match.

    Raises LongtailError for text that is no regular expression.
    """
    check_pattern("group", pattern)
    search = re.compile(pattern).search

    def get_group(path: str) -> str:
        match = search(path)
        return (match[1 if match.re.groups else 0] or "") if match else ""

    return get_group


def list_paths(index: ImageIndex) -> list[str] | None:
    """Return the paths of images relative to their folder, as the data set names them; None if it names none."""
    if isinstance(index, PathIndex):
        return [os.fsdecode(key) for key in index.array.to_pylist()]
    if not isinstance(index, ParquetIndex):
        return None
    paths: list[str | None] = []
    for file, end in zip(index.files, index.ends, strict=True):
        paths += read_image_paths(file) or [None] * (end - len(paths))
    chosen = [paths[row] for row in index.rows]
    return [path or "" for path in chosen] if any(chosen) else None
