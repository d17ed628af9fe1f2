"""Recipes by name: the numbers of the papers, and ours where there is no paper; each says its source."""

from longtail.data import SOURCES
from longtail.errors import unknown
from longtail.recipe import Recipe
from longtail.recipes import cifar, digits, ncl_cifar

RECIPES = {"digits": digits, "cifar": cifar, "ncl-cifar": ncl_cifar}
DEFAULT = {"digits-lt": "digits", "cifar10-lt": "cifar", "cifar100-lt": "cifar"}


def recipe_for(data: str, name: str | None = None, **changes: object) -> Recipe:
    """The recipe for a data set, by default its own, with some fields and method options changed.

    Raises LongtailError for unknown names and for values of a wrong type or out of range.
    """
    if data not in SOURCES:
        raise unknown("data", data, SOURCES)
    name = name or DEFAULT[data]
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return Recipe(data=data, **RECIPES[name].RECIPE).change(**changes)
