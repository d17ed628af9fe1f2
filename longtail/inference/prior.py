"""The class prior that a model is used under: where classes are not as frequent as in training (ECL, Eq. 2 and 4)."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from longtail.data.classes import normalize_class_name
from longtail.errors import LongtailError, expand_path, unknown_name
from longtail.losses import adjust_logits
from longtail.methods import Method


def describe_prior(method: Method, target: str | None) -> str:
    """What a table says of the prior: the one asked for, or what the logits assume as trained."""
    if target is not None:
        return str(target)
    assumed = method.assumed_log_prior()
    if assumed is None:
        return "as trained"
    known = {"uniform": torch.zeros_like(assumed), "train": method.log_prior}
    same = [name for name, log in known.items() if torch.allclose(assumed.softmax(-1), log.softmax(-1), atol=1e-6)]
    return f"as trained ({same[0]})" if same else "as trained (between uniform and train)"


def parse_target_prior(text: str, classes: Sequence[str], counts: Sequence[int]) -> Tensor:
    """Log prior (C,) float32 of "uniform", of "train" (an unseen class counts once), or of a file's numbers by class name.

    The file is JSON, {class: number}, or CSV with columns class and count or probability. Raises LongtailError for one that
    does not give every class a number from 0 up.
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
    """A number for each class."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = json.load(file) if path.suffix.lower() == ".json" else dict(read_prior_rows(file, path))
        numbers = {normalize_class_name(str(name)): float(value) for name, value in found.items()}
    except FileNotFoundError:
        raise LongtailError(f"target prior '{path}' is neither uniform nor train nor a file") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LongtailError(f"{path} is not a prior, JSON {{class: number}} or CSV class,count: {error}") from error
    for name in numbers.keys() - set(classes):
        raise unknown_name(f"class in {path}", name, classes)
    if missing := [name for name in classes if name not in numbers]:
        raise LongtailError(f"{path} has no number for {len(missing)} classes: {', '.join(missing[:10])}")
    bad = [name for name, value in numbers.items() if not 0 <= value < math.inf]
    if bad or not sum(numbers.values()):
        raise LongtailError(
            f"{path}: {bad[0] if bad else 'every class'} has no usable number; each is 0 or more, not all 0"
        )
    return [numbers[name] for name in classes]


def read_prior_rows(file, path: Path) -> list[tuple[str, str]]:
    """Class and number of each row."""
    rows = csv.DictReader(file)
    names = [name.strip().lower() for name in rows.fieldnames or []]
    number = next((name for name in ("probability", "count", "train_images") if name in names), None)
    label = next((name for name in ("name", "class") if name in names), None)  # per_class.csv of a run has both
    if number is None or label is None:
        raise LongtailError(f"{path} must have columns class and count (or probability); it has {', '.join(names)}")
    return [(row[names.index(label)], row[names.index(number)]) for row in map(list, (r.values() for r in rows))]


def move_to_prior(logits: Tensor, method: Method, log_target: Tensor | None) -> Tensor:
    """(..., N, C) logits under another class prior; None leaves them as trained (Eq. 4).

    Raises LongtailError for a method whose logits assume no prior that could be told.
    """
    if log_target is None:
        return logits
    assumed = method.assumed_log_prior()
    if assumed is None:
        raise LongtailError(
            f"which class prior the logits of {type(method).__name__} assume is not known, so they cannot be moved to another; "
            "leave --target-prior out"
        )
    return adjust_logits(logits, assumed.cpu(), 1.0, log_target)
