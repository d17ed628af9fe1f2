"""Recipes by name: the numbers of the papers, and ours where there is no paper; each says its source."""

import os

from longtail.augment import resized, sized
from longtail.data import SOURCES, is_path
from longtail.errors import LongtailError, expanded, unknown
from longtail.nets import TIMM, trained_as
from longtail.recipe import Recipe
from longtail.recipes import cifar, digits, imagenet_lt, inaturalist, ncl_cifar, own

RECIPES = {
    "digits": digits,
    "cifar": cifar,
    "ncl-cifar": ncl_cifar,
    "imagenet-lt": imagenet_lt,
    "inaturalist": inaturalist,
    "own": own,
}
DEFAULT = {
    "digits-lt": "digits",
    "cifar10-lt": "cifar",
    "cifar100-lt": "cifar",
    "imagenet-lt": "imagenet-lt",
    "inaturalist2018": "inaturalist",
}


def recipe_for(
    data: str, name: str | None = None, *, size: int | None = None, method: str = "ecl", **changes: object
) -> Recipe:
    """The recipe for a data set or a path, by default its own, with some fields and method options changed.

    `size` is the side of the views; without it, and without `views`, a network of timm takes its own. Raises LongtailError
    for unknown names and for values of a wrong type or out of range.
    """
    if not isinstance(data, str | os.PathLike):
        raise LongtailError(f"data is {data!r}; it takes the name of a data set or a path")
    data = os.fspath(data)
    if size is not None and (type(size) is not int or size < 1):
        raise LongtailError(f"size is {size!r}; it is a number of pixels, at least 1")
    if is_path(data):
        data, name = os.path.abspath(data if os.path.exists(data) else expanded(data)), name or "own"
    elif data not in SOURCES:
        raise LongtailError(
            f"{unknown('data', data, SOURCES)}, or a path: a folder of images, a table, a list, a parquet file"
        )
    name = name or DEFAULT[data]
    if name not in RECIPES:
        raise unknown("recipe", str(name), RECIPES)
    for name_of_path in ("val", "test", "weights"):
        path = changes.get(name_of_path)
        if path and isinstance(path, str | os.PathLike) and (name_of_path, path) != ("weights", TIMM):
            changes[name_of_path] = os.path.abspath(path if os.path.exists(path) else expanded(path))
    given = set(changes)
    numbers, options = RECIPES[name].RECIPE, getattr(RECIPES[name], "OPTIONS", {})
    if method in options:
        changes = {**options[method], **changes}
    net, views = (changes[key] if key in changes else numbers[key] for key in ("net", "views"))
    if isinstance(net, str) and isinstance(views, str):  # what is not is refused by name in a moment
        if size is None and "views" not in changes and sized(views):
            size = trained_as(net).get("size")
        changes["views"] = views if size is None else resized(views, size)
    made = Recipe(data=data, **numbers).change(method=method, **changes)
    if "milestones" in given and made.schedule != "steps":
        raise LongtailError(f"milestones are of schedule steps, and this one is {made.schedule}; add --schedule steps")
    return made
