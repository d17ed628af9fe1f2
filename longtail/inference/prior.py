"""The target class prior: class frequencies where a model is used, if they differ from training (ECL, Eq. 2 and 4)."""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from longtail.data.classes import normalize_class_name
from longtail.errors import LongtailError, expand_path, is_special_file, unknown_name
from longtail.losses import adjust_logits
from longtail.methods import Method
from longtail.runs.spreadsheet import restore_cell

NUMBER_COLUMNS = ("probability", "count", "train_images")
MAX_FILE = 64 << 20  # bytes of a file of numbers, one for each class


def describe_prior(method: Method, target: str | None) -> str:
    """Return the name of the class prior for a table: the target, or the prior that the logits assume as trained."""
    if target is not None:
        return str(target)
    assumed = method.assumed_log_prior()
    if assumed is None:
        return "as trained"
    known = {"uniform": torch.zeros_like(assumed), "train": method.log_prior}
    names = [name for name, log in known.items() if torch.allclose(assumed.softmax(-1), log.softmax(-1), atol=1e-6)]
    return f"as trained ({names[0]})" if names else "as trained (between uniform and train)"


def parse_target_prior(text: str, classes: Sequence[str], counts: Sequence[int]) -> Tensor:
    """Return the log prior (C,) float32 that a text names: "uniform", "train" (an unseen class counts once), or a file.

    The file is JSON, {class: number}, or CSV with columns class and count or probability. Raises LongtailError for a file
    that does not give every class a number of at least 0.
    """
    if text == "uniform":
        weights = [1.0] * len(classes)
    elif text == "train":
        weights = [float(max(n, 1)) for n in counts]
    else:
        weights = read_prior_file(expand_path(text), classes)
    prior = torch.tensor(weights, dtype=torch.float64)
    return (prior / prior.sum()).log().float()


def read_prior_file(path: Path, classes: Sequence[str]) -> list[float]:
    """Read the number of each class from a JSON or CSV file, in the order of `classes`."""
    if is_special_file(path) or (path.is_file() and path.stat().st_size > MAX_FILE):
        raise LongtailError(f"target prior '{path}' is no file of at most {MAX_FILE >> 20} MB; name a JSON or CSV file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            entries = read_json_entries(file) if path.suffix.lower() == ".json" else read_prior_rows(file, path)
        pairs = [(normalize_class_name(str(name)), float(value)) for name, value in entries]
    except FileNotFoundError:
        raise LongtailError(f"target prior '{path}' is neither uniform nor train nor a file") from None
    except LongtailError:
        raise
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, csv.Error) as error:
        raise LongtailError(f"{path} is not a prior, JSON {{class: number}} or CSV class,count: {error}") from error
    numbers = dict(pairs)
    if twice := find_repeated(name for name, _ in pairs):
        raise LongtailError(f"{path} names {', '.join(twice[:10])} more than once; leave one number for each class")
    for name in numbers.keys() - set(classes):
        raise unknown_name(f"class in {path}", name, classes)
    if missing := [name for name in classes if name not in numbers]:
        raise LongtailError(f"{path} has no number for {len(missing)} classes: {', '.join(missing[:10])}")
    bad = [name for name, value in numbers.items() if not 0 <= value < math.inf]
    if bad or not 0 < sum(numbers.values()) < math.inf:
        raise LongtailError(
            f"{path}: {bad[0] if bad else 'every class'} has no usable number; each is 0 or more, not all 0, with a finite sum"
        )
    return [numbers[name] for name in classes]


def find_repeated(names: Iterable[str]) -> list[str]:
    """Return the names that stand more than once."""
    return [name for name, number in Counter(names).items() if number > 1]


def read_json_entries(file: TextIO) -> list[tuple[str, Any]]:
    """Return class and number of each key of an open JSON file, with repeated keys; raises TypeError unless it is an object."""
    entries = json.load(file, object_pairs_hook=KeyedPairs)
    if not isinstance(entries, KeyedPairs):
        raise TypeError(f"it holds a {type(entries).__name__}")
    return entries


class KeyedPairs(list):
    """The keys and values of a JSON object, which may repeat a key."""


def read_prior_rows(file: TextIO, path: Path) -> list[tuple[str, Any]]:
    """Return class and number of each row of an open CSV file; raises LongtailError for a missing or repeated column."""
    rows = csv.reader(file, strict=True)
    header = [name.strip().lower() for name in next(rows, [])]
    numbers = [name for name in header if name in NUMBER_COLUMNS]
    labels = [name for name in ("name", "class") if name in header]  # per_class.csv of a run has both
    if not numbers or not labels:
        raise LongtailError(f"{path} must have columns class and count (or probability); it has {', '.join(header)}")
    if len(numbers) > 1:
        raise LongtailError(f"{path} has {len(numbers)} columns of numbers: {', '.join(numbers)}; leave one")
    if header.count(labels[0]) > 1:
        raise LongtailError(f"{path} has the column {labels[0]} more than once; leave one")
    label, number = header.index(labels[0]), header.index(numbers[0])
    restore = restore_cell if len(labels) == 2 else str
    entries: list[tuple[str, Any]] = []
    for row in filter(None, rows):
        if len(row) != len(header):
            raise LongtailError(f"{path}, line {rows.line_num}: {len(row)} columns, but the header names {len(header)}")
        entries.append((restore(row[label]), row[number]))
    return entries


def move_to_prior(logits: Tensor, method: Method, log_target: Tensor | None) -> Tensor:
    """Move logits (..., N, C) to another class prior (Eq. 4); None leaves them as trained.

    Raises LongtailError for a method that does not know which prior its logits assume.
    """
    if log_target is None:
        return logits
    assumed = method.assumed_log_prior()
    if assumed is None:
        raise LongtailError(
            f"the class prior that the logits of {type(method).__name__} assume is not known, so they cannot move to another; "
            "leave --target-prior out"
        )
    return adjust_logits(logits, assumed.cpu(), 1.0, log_target)
