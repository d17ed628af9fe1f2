"""Checks of the JSON files of a finished run: each raises ValueError that names the first field that cannot be right."""

import json
import math
import re

from longtail.augment import get_transform_set
from longtail.metrics.names import METRICS
from longtail.recipe import WEIGHTS_WORDS, Recipe

MOST_IMAGES = 10**12  # of a class; larger counts overflow
SLACK = 1e-6  # rounding of a percentage


def is_count(value: object) -> bool:
    """Return whether a value is a possible number of images."""
    return type(value) is int and 0 <= value <= MOST_IMAGES


def check_classes(names: list, counts: list) -> None:
    """Check a class table: as many distinct names as counts, and a training image in some class."""
    if not (isinstance(names, list) and isinstance(counts, list) and len(names) == len(counts) > 0):
        raise ValueError("classes and train_counts are not two lists of equal length")
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a class name is no text")
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"two classes have the name {twice!r}")
    if wrong := [name for name, count in zip(names, counts, strict=True) if not is_count(count)]:
        raise ValueError(f"the training count of class {wrong[0]!r} is no number of images")
    if not any(counts):
        raise ValueError("every class has 0 training images")


def check_split(split: dict) -> None:
    """Check `split.json`: the class table, and the size, shape and hash of the images."""
    check_classes(split["classes"], split["train_counts"])
    if wrong := [key for key in split if key.endswith("_images") and not is_count(split[key])]:
        raise ValueError(f"{wrong[0]} is no number of images")
    shape = split["image_shape"]
    if shape is not None and not (isinstance(shape, list) and len(shape) == 3 and all(map(is_count, shape))):
        raise ValueError("image_shape is neither null nor three numbers")
    for key in ("train_sha256", "test_sha256"):
        if not isinstance(split[key], str):
            raise ValueError(f"{key} is no text")
    commits = split.get("commits", {})
    if not isinstance(commits, dict) or not all(re.fullmatch("[0-9a-f]{40}", str(value)) for value in commits.values()):
        raise ValueError("commits are no names of the hub with a commit of 40 hex digits each")
    for key in ("train_images", "test_images"):
        if key not in split:
            raise ValueError(f"{key} is missing")


def check_model(model: dict, recipe: Recipe, split: dict) -> None:
    """Check `model.json`: its classes are those of the split, and all else is what the recipe says."""
    check_classes(model["classes"], model["train_counts"])
    for key in ("classes", "train_counts"):
        if model[key] != split[key]:
            raise ValueError(f"{key} differ from those of split.json")
    transform: dict = {"size": [get_transform_set(recipe.views).size] * 2, "fit": recipe.fit}
    if recipe.weights in (None, *WEIGHTS_WORDS):
        transform_set = recipe.transform_set
        transform |= {"mean": list(transform_set.mean), "std": list(transform_set.std)}
    else:  # a folder or name of the hub says mean and deviation, and may be gone
        check_channels(model["transform"])
    compared = [
        (model, {"method": recipe.method, "net": recipe.net, "precision": recipe.precision}),
        (model.get("transform", {}), transform),
        # an option that is newer than the run is in the recipe only
        (recipe.options, model.get("options", {})),
    ]
    for there, expected in compared:
        for key, value in json.loads(json.dumps(expected)).items():  # JSON has lists for tuples
            if json.loads(json.dumps(there.get(key, value))) != value:
                raise ValueError(f"{key} differs from that of recipe.json")


def check_channels(transform: dict) -> None:
    """Check mean and deviation of the channels in `model.json`: three finite numbers each, a deviation above 0."""
    for key in ("mean", "std"):
        values = transform[key]
        if not isinstance(values, list) or len(values) != 3 or not all(map(is_finite, values)):
            raise ValueError(f"{key} is not three numbers")
    if min(transform["std"]) <= 0:
        raise ValueError("std is not above 0")


def check_results(results: dict, recipe: Recipe) -> None:
    """Check `results.json`: the run's recipe, and metrics in percent, or null, for the ensemble and every expert."""
    for key in ("method", "data", "seed", "epochs"):
        if results[key] != getattr(recipe, key):
            raise ValueError(f"{key} differs from that of recipe.json")
    check_predictions(results)
    if (selected := results.get("selected")) is not None:
        if selected["by"] not in METRICS or type(selected["epoch"]) is not int or not isinstance(selected["val"], dict):
            raise ValueError("selected names no epoch")
        check_predictions(selected)


def check_predictions(results: dict) -> None:
    """Check the metrics of the ensemble and of every expert, without and with flip TTA or five crops."""
    for mode in ("plain", "flip", *(["five_crop"] if "five_crop" in results else [])):
        experts = results[mode]["experts"]
        if not isinstance(experts, list) or not experts:
            raise ValueError(f"{mode} has no list of experts")
        for metrics in (results[mode]["ensemble"], *experts):
            if missing := [name for name in METRICS if name not in metrics]:
                raise ValueError(f"{mode} has no {missing[0]}")
            if wrong := [name for name, value in metrics.items() if not is_percentage(value)]:
                raise ValueError(f"{wrong[0]} of {mode} is no percentage")


def is_percentage(value: object) -> bool:
    """Return whether a value is null or a number from 0 to 100."""
    if value is None:
        return True
    return type(value) in (int, float) and -SLACK <= value <= 100 + SLACK  # type: ignore[operator]


def check_rows(rows: list[dict], needed: tuple[str, ...] = ("epoch", "seconds", "loss")) -> None:
    """Check the rows of `metrics.csv`: epochs from 1 on, and finite numbers."""
    if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)) or not rows:
        raise ValueError("its epochs are not 1, 2, ...")
    for row in rows:
        numbers = {key: value for key, value in row.items() if key != "stage"}
        if wrong := [k for k, v in numbers.items() if not (v is None and k not in needed) and not is_finite(v)]:
            raise ValueError(f"{wrong[0]} of epoch {row['epoch']:g} is no number")


def is_finite(value: object) -> bool:
    """Return whether a value is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
