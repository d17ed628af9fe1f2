"""Settings of a recipe that exclude or need each other: each is refused in one line that says what to do."""

from itertools import pairwise
from typing import Any

from longtail.data.catalog import CUT_SETS
from longtail.errors import LongtailError
from longtail.methods import METHODS, get_method_class

# fields that decide which images a run sees: a student has those of its teacher
IMAGE_FIELDS = ("imbalance", "val", "test", "val_share", "test_share", "group", "fit", "skip_bad", "views")


def check_conflicts(recipe: Any) -> None:
    """Raise LongtailError for the first settings of a recipe that do not go together."""
    if not all(0 < a < b for a, b in pairwise((*recipe.milestones, 1))):
        raise LongtailError(f"milestones are {recipe.milestones}; they are rising shares of the epochs between 0 and 1")
    if recipe.nesterov and (recipe.momentum == 0 or recipe.optimizer != "sgd"):
        raise LongtailError("nesterov is of SGD with a momentum above 0; leave --nesterov out")
    check_frozen(recipe)
    check_tune(recipe)
    check_fit(recipe)


def check_frozen(recipe: Any) -> None:
    """Raise LongtailError for a frozen encoder without weights, and for settings of frozen runs in another run."""
    if recipe.frozen and recipe.tune:
        raise LongtailError(
            "frozen trains on features that are computed once, and tune trains through the encoder; leave --frozen or "
            "--tune out"
        )
    if recipe.frozen and not recipe.weights:
        raise LongtailError("frozen features need pretrained weights; add --weights auto, or leave --frozen out")
    if recipe.neck and not recipe.frozen:
        raise LongtailError(f"neck is {recipe.neck}; necks stand on frozen features: add --frozen or leave --neck out")
    if recipe.frozen and not get_method_class(recipe.method).trains_on_features:
        names = ", ".join(name for name in METHODS if get_method_class(name).trains_on_features)
        raise LongtailError(f"{recipe.method} works on pixels and cannot train on frozen features; these can: {names}")
    if recipe.frozen and recipe.five_crop:
        raise LongtailError("five_crop cuts crops from images, and frozen keeps features only; leave --five-crop out")


def check_tune(recipe: Any) -> None:
    """Raise LongtailError for light tuning without pretrained weights, and for a rate of encoders that do not train."""
    if recipe.tune not in (None, "all") and not recipe.weights:
        raise LongtailError(
            f"tune {recipe.tune} trains little of a pretrained network; add --weights auto, or take --tune all"
        )
    if recipe.encoder_lr != 1 and (recipe.frozen or recipe.tune == "heads"):
        what = "frozen" if recipe.frozen else "tune heads"
        raise LongtailError(f"encoder_lr is of encoders that train, and {what} trains none; leave --encoder-lr out")


def check_fit(recipe: Any) -> None:
    """Raise LongtailError for a fit of images that are squares, and beside crops that are cut from whole photographs."""
    if recipe.fit != "cut" and recipe.data in CUT_SETS:
        raise LongtailError(f"fit is {recipe.fit}, but the images of {recipe.data} are squares; leave --fit out")
    if recipe.fit != "cut" and recipe.five_crop:
        raise LongtailError(
            f"five_crop cuts crops out, and fit {recipe.fit} cuts nothing; leave --five-crop or --fit out"
        )
