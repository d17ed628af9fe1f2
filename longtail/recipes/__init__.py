"""Recipes by name: the numbers of the papers, and ours where there is no paper; each says its source."""

import os

from longtail.augment import resized
from longtail.data import SOURCES, is_path
from longtail.errors import LongtailError, unknown
from longtail.recipe import Recipe
from longtail.recipes import cifar, digits, own

RECIPES = {"digits": digits, "cifar": cifar, "own": own}
DEFAULT = {
    "digits-lt": "digits",
    "cifar10-lt": "cifar",
    "cifar100-lt": "cifar",
    "imagenet-lt": "own",
    "inaturalist2018": "own",
}


def recipe_for(data: str, name: str | None = None, *, size: int | None = None, **changes: object) -> Recipe:
    """The recipe for a data set or a path, by default its own, with some fields and method options changed.

    `size` is the side of the views. Raises LongtailError for unknown names and for values of a wrong type or out of range.
    """
    if is_path(data):
        data, name = os.path.abspath(data), name or "own"
    elif data not in SOURCES:
        raise LongtailError(
            f"{unknown('data', data, SOURCES)}, or a path: a folder of images, a table, a list, a parquet file"
        )
    name = name or DEFAULT[data]
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    for part in ("val", "test"):
        if changes.get(part):
            changes[part] = os.path.abspath(changes[part])
    recipe = Recipe(data=data, **RECIPES[name].RECIPE).change(**changes)
    return recipe if size is None else recipe.change(views=resized(recipe.views, size))
