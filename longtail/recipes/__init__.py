"""Recipes by name: the numbers of the papers, and ours where there is no paper; each says its source."""

import dataclasses
import os
from dataclasses import MISSING
from typing import Any

from longtail.data.catalog import SOURCES, is_custom, resolve_path, unknown_data_error
from longtail.errors import LongtailError, unknown_name
from longtail.methods import get_options
from longtail.recipe import Recipe, check_fields, check_names, is_weights_path
from longtail.recipes import (
    balpoe_cifar,
    cifar,
    digits,
    frozen,
    imagenet_lt,
    inaturalist,
    lift,
    ncl_cifar,
    paco_cifar,
    proco_cifar,
    sade_cifar,
    scratch,
    tuned,
)

RECIPES = {
    "digits": digits,
    "cifar": cifar,
    "ncl-cifar": ncl_cifar,
    "imagenet-lt": imagenet_lt,
    "inaturalist": inaturalist,
    "frozen": frozen,
    "scratch": scratch,
    "tuned": tuned,
    "lift": lift,
    "balpoe-cifar": balpoe_cifar,
    "proco-cifar": proco_cifar,
    "paco-cifar": paco_cifar,
    "sade-cifar": sade_cifar,
}
CUSTOM = ("frozen", "scratch", "tuned", "lift")  # recipes of custom data
# methods of recipes where the user names none; ECL for all others. On frozen features, see `longtail reproduce`
# frozen-caltech, frozen-cifar and frozen-candidates: ECL is a little better in top-1, and takes twenty times as long
METHOD_BY_RECIPE = {"frozen": "logit_adjustment", "tuned": "bc", "lift": "bc"}
TESTS = 5  # on the way, of runs on custom data
SCRATCH_NETS = ("conv4", *(f"resnet{depth}" for depth in (8, 14, 20, 32, 44, 56, 110)))  # no weights of them exist
DEFAULT = {
    "digits-lt": "digits",
    "cifar10-lt": "cifar",
    "cifar100-lt": "cifar",
    "imagenet-lt": "imagenet-lt",
    "inaturalist2018": "inaturalist",
    "caltech101": "frozen",
}


def choose_recipe(data: str | None, changes: dict[str, Any]) -> str:
    """Return the name of the recipe for a data set or a path, where the user names none; `changes` are the user's fields.

    Custom data take the frozen road, unless the user asks for random weights or for a network that has no others. Light
    tuning has recipes of its own: layers beside blocks are of transformers, and so is `lift`.
    """
    if changes.get("frozen"):
        return "frozen"
    if changes.get("tune"):
        return "lift" if changes["tune"] in ("adaptformer", "lora") else "tuned"
    if data in DEFAULT:
        return DEFAULT[data]
    is_scratch = (
        changes.get("weights") == "none" or changes.get("net") in SCRATCH_NETS or changes.get("frozen") is False
    )
    return "scratch" if is_scratch else "frozen"


def choose_method(recipe: str | None) -> str:
    """Return the name of the method that a recipe trains, where the user names none."""
    return METHOD_BY_RECIPE.get(recipe or "", "ecl")


def recipe_for(
    data: str | os.PathLike,
    name: str | None = None,
    *,
    size: int | None = None,
    method: str | None = None,
    **changes: Any,
) -> Recipe:
    """Return the recipe for a data set or a path, by default its own, with some fields and method options changed.

    `size` is the side of the views in pixels; without `size` and `views`, a network of timm takes its own. Raises
    LongtailError for unknown names and for values of a wrong type or out of range.
    """
    if not isinstance(data, str | os.PathLike):
        raise LongtailError(f"data is {data!r}; it takes the name of a data set or a path")
    data = os.fspath(data)
    if size is not None and (type(size) is not int or size < 1):
        raise LongtailError(f"size is {size!r}; it is a number of pixels, at least 1")
    if is_custom(data):
        data = resolve_path(data)
    elif data not in SOURCES:
        raise unknown_data_error(data)
    name = name or choose_recipe(data, changes)
    if name not in RECIPES:
        raise unknown_name("recipe", str(name), RECIPES)
    method = method or choose_method(name)
    check_names(method, changes)
    fields = recipe_fields(name, method)
    if fields["imbalance"] is None and data in DEFAULT:  # a known set has its own tail under every recipe
        fields["imbalance"] = RECIPES[DEFAULT[data]].RECIPE["imbalance"]
    if is_custom(data):
        fields["group"] = "auto"  # becomes "column" or None once the data are read: a run of before keeps its split
    fields |= changes
    options = {key: fields.pop(key) for key in get_options(method).keys() & fields.keys()}
    options |= fields.pop("options", {})
    check_fields(fields)  # before torch is loaded for the network and its size
    if name in CUSTOM and "epochs" in changes and "eval_every" not in changes:
        fields["eval_every"] = spread_tests(fields["epochs"])
    for field in ("val", "test", "weights"):
        if (path := fields.get(field)) and (field != "weights" or is_weights_path(path)):
            fields[field] = resolve_path(path)
    if size is not None or "views" not in changes:
        fields["views"] = fit_views(fields["views"], fields["net"], size, fields.get("weights"))
    recipe = Recipe(data=data, method=method, **fields, options=options)
    if "milestones" in changes and recipe.schedule != "steps":
        raise LongtailError(
            f"milestones are of schedule steps, and this one is {recipe.schedule}; add --schedule steps"
        )
    return recipe


def spread_tests(epochs: int) -> int:
    """Return the epochs between tests by which a run of `epochs` tests its accuracy five times at least, where it can."""
    return max(epochs // TESTS, 1)


def recipe_fields(name: str, method: str) -> dict[str, Any]:
    """Return the fields and options that a recipe sets for a method."""
    return RECIPES[name].RECIPE | getattr(RECIPES[name], "OPTIONS", {}).get(method, {})


def default_fields(data: str | None, name: str | None, method: str) -> dict[str, Any]:
    """Return the fields and options of a run if nothing is changed, for display; {} if neither data nor recipe is known."""
    if not (name or data):
        return {}
    name = name or choose_recipe(data, {})
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    defaults = {entry.name: entry.default for entry in dataclasses.fields(Recipe) if entry.default is not MISSING}
    return defaults | recipe_fields(name, method)


def fit_views(views: str, net: str, size: int | None, weights: str | None = None) -> str:
    """Return the name of the transform set at a size or, without one, at that of the weights or a network of timm."""
    from longtail.augment import change_size, is_resizable
    from longtail.nets import find_input_config, get_input_config

    if size is None and is_resizable(views):
        size = (get_input_config(net) | find_input_config(net, weights)).get("size")
    return views if size is None else change_size(views, size)
