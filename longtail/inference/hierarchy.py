"""A hierarchy of classes, and back-off: the most specific class or superclass that is probable enough.

Back-off: Deng et al. 2012, Hedging Your Bets.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from longtail.data.classes import normalize_class_name
from longtail.data.table import detect_delimiter
from longtail.errors import LongtailError, expand_path, is_special_file, unknown_name
from longtail.inference.prior import MAX_FILE, KeyedPairs, find_repeated

TOP = "any class"  # the node above all
LONGEST = 1000  # steps from a class to the top


@dataclass(frozen=True)
class Hierarchy:
    """The M nodes of a hierarchy, classes and superclasses, from the smallest to `TOP`, and the classes below each.

    `node_rows` and `class_rows` (P,) pair each node with each of its classes; `sizes` (M,) counts these.
    """

    nodes: tuple[str, ...]
    node_rows: Tensor
    class_rows: Tensor
    sizes: Tensor

    @classmethod
    def read(cls, path: str | Path, classes: Sequence[str]) -> "Hierarchy":
        """Read a CSV file with the columns class and parent, or JSON {class: parent}; parents may have parents.

        Raises LongtailError for a file that is no hierarchy of exactly these classes.
        """
        file = expand_path(path)
        pairs = read_pairs(file)
        if twice := find_repeated(child for child, _ in pairs):
            raise LongtailError(f"{file} gives {twice[0]} more than one parent; leave one")
        return cls.build(dict(pairs), classes, file)

    @classmethod
    def build(cls, parents: Mapping[str, str], classes: Sequence[str], file: Path) -> "Hierarchy":
        """Build the hierarchy of the parents of classes and superclasses; `file` is for messages."""
        if TOP in parents or TOP in parents.values():
            raise LongtailError(
                f"{file}: '{TOP}' is the name of the top of every hierarchy; give the node another name"
            )
        if missing := [name for name in classes if name not in parents]:
            raise LongtailError(f"{file} has no parent for {len(missing):,} classes: {', '.join(missing[:10])}")
        known = set(classes)
        if inner := sorted(known & set(parents.values())):
            raise LongtailError(f"{file}: {inner[0]} is a class and a parent; give the parent another name")
        unused = parents.keys() - known - set(parents.values())
        for name in unused:
            raise unknown_name(f"class in {file}", name, classes)
        below: dict[str, set[int]] = {name: {c} for c, name in enumerate(classes)}
        for c, name in enumerate(classes):
            for node in list_ancestors(name, parents, file):
                below.setdefault(node, set()).add(c)
        below[TOP] = set(range(len(classes)))
        nodes = sorted(below, key=lambda node: len(below[node]))  # stable: classes stay in order
        sizes = torch.tensor([len(below[node]) for node in nodes])
        class_rows = torch.tensor([c for node in nodes for c in sorted(below[node])])
        return cls(tuple(nodes), torch.arange(len(nodes)).repeat_interleave(sizes), class_rows, sizes)

    def back_off(self, probabilities: Tensor, sure: float) -> list[tuple[str, float]]:
        """Return for each image the node with the fewest classes whose probability is at least `sure`, and the probability.

        (N, C) -> N pairs. Of nodes with equally many classes the more probable one is taken; `TOP` always qualifies.
        """
        found = torch.zeros(len(probabilities), len(self.nodes), dtype=torch.float64)
        found.index_add_(1, self.node_rows, probabilities.double()[:, self.class_rows])
        found[:, -1] = 1.0  # the sum of all probabilities may be less by rounding
        found = found.clamp_max(1.0)
        rank = self.sizes - found / 2  # fewest classes, then most probable, then the first
        best = torch.where(found >= sure, rank, torch.inf).argmin(-1).tolist()
        return [(self.nodes[node], found[i, node].item()) for i, node in enumerate(best)]


def list_ancestors(name: str, parents: Mapping[str, str], file: Path) -> list[str]:
    """Return the superclasses of a class from the nearest on; raises LongtailError for a hierarchy that runs in a circle."""
    found: list[str] = []
    while (name := parents.get(name, "")) != "":
        if name in found or len(found) > LONGEST:
            raise LongtailError(f"{file}: {name} is above itself; a hierarchy has no circles")
        found.append(name)
    return found


def read_pairs(file: Path) -> list[tuple[str, str]]:
    """Read class and parent of each row or key of a file; a missing parent is the top."""
    if is_special_file(file) or (file.is_file() and file.stat().st_size > MAX_FILE):
        raise LongtailError(f"hierarchy '{file}' is no file of at most {MAX_FILE >> 20} MB; name a JSON or CSV file")
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            if file.suffix.lower() == ".json":
                entries = json.load(text, object_pairs_hook=KeyedPairs)
                if not isinstance(entries, KeyedPairs):
                    raise TypeError(f"it holds a {type(entries).__name__}")
            else:
                entries = read_rows(csv.DictReader(text, delimiter=detect_delimiter(file), strict=True), file)
        if wrong := [key for key, value in entries if not isinstance(value, str | None)]:
            raise TypeError(f"the parent of {wrong[0]} is no text")
    except FileNotFoundError:
        raise LongtailError(
            f"hierarchy '{file}' is not there; it is JSON {{class: parent}} or CSV class,parent"
        ) from None
    except LongtailError:
        raise
    except (OSError, ValueError, TypeError, RecursionError, csv.Error) as error:
        raise LongtailError(
            f"{file} is not a hierarchy, JSON {{class: parent}} or CSV class,parent: {error}"
        ) from error
    names = [(str(child).strip(), (parent or "").strip()) for child, parent in entries]
    return [(normalize_class_name(child), normalize_class_name(parent)) for child, parent in names]


def read_rows(rows: csv.DictReader, file: Path) -> list[tuple[str, str]]:
    """Return the cells class and parent of each row; raises LongtailError if a column is missing."""
    columns = {str(name).strip().lower(): name for name in rows.fieldnames or []}
    if not {"class", "parent"} <= columns.keys():
        raise LongtailError(f"{file} must have columns class and parent; it has {', '.join(columns) or 'none'}")
    return [(row[columns["class"]] or "", row[columns["parent"]] or "") for row in rows]
