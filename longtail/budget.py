"""A run that fits into some minutes: the size of the images, where an encoder is frozen, and the number of epochs."""

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from longtail.augment import change_size, is_resizable
from longtail.distributed import init_world
from longtail.errors import LongtailError
from longtail.estimate import Estimate, estimate_run
from longtail.recipe import Recipe
from longtail.recipes import spread_tests
from longtail.runs.folder import RunFolder
from longtail.tracking import ProgressReport, format_duration
from longtail.validation import Range, check_value
from longtail.wording import format_count

SIZES = (224, 192, 160, 128, 96)  # of the images of a frozen encoder
TRAINING_SHARE = 1 / 3  # of the budget that features leave for training
MOST_EPOCHS = 4  # times those of the recipe
CHOSEN = ("epochs", "eval_every", "views")  # fields that a budget decides


def fit_minutes(
    recipe: Recipe,
    minutes: float,
    given: Collection[str],
    out: str | Path,
    report: ProgressReport,
    *,
    root: str | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    cache: str | Path | None = None,
) -> Recipe:
    """Return the recipe that fits into some minutes on this machine; a note says what is chosen.

    `given` names what the user decides: "size", and fields of the recipe. With `resume` the values of the run in the folder
    `out` are taken. Raises LongtailError if nothing is left to choose, or the shortest run takes longer.
    """
    check_value("minutes", minutes, float, Range(0, open_low=True))
    fixed = {"views" if name == "size" else name for name in given} & set(CHOSEN)
    if "epochs" in fixed and ("views" in fixed or not recipe.frozen):
        what = "--epochs and --size are" if recipe.frozen else "--epochs is"
        raise LongtailError(f"--minutes has no effect where {what} given; leave one of them out")
    world, run = init_world(device, threads), RunFolder(out)
    if resume and (there := world.on_main(lambda: run.read_recipe() if run.has("recipe.json") else None)):
        return recipe.change(**{name: getattr(there, name) for name in set(CHOSEN) - fixed})
    world.on_main(lambda: run.check_new(resume))
    report.phase("measuring what the run costs")
    split = world.main_first(lambda: recipe.load_split(root, workers, verify=False))
    recipe, text = fit_budget(recipe, minutes, fixed, lambda sized: estimate_run(sized, split, world, cache))
    report.note(text)
    return recipe


def fit_budget(
    recipe: Recipe, minutes: float, fixed: Collection[str], measure: Callable[[Recipe], Estimate]
) -> tuple[Recipe, str]:
    """Return the recipe that fits into some minutes by what `measure` says of it, and a line on what is chosen.

    Fields in `fixed` stay. Raises LongtailError if the shortest run takes longer.
    """
    budget = 60 * minutes
    for sized in list_sizes(recipe, fixed):
        found = measure(sized)
        epochs = choose_epochs(sized, fixed, found, budget)
        is_affordable = "epochs" in fixed or found.preparation <= (1 - TRAINING_SHARE) * budget
        if epochs and is_affordable:
            break
    if not epochs:
        shortest = sized.epochs if "epochs" in fixed else found.stages
        least = found.total(shortest, choose_eval_every(sized, fixed, shortest))
        raise LongtailError(
            f"minutes is {minutes:g}; the shortest run takes about {least / 60:.2g} ({describe_size(sized)}"
            f"{format_count(shortest, 'epoch')}): ask for more"
        )
    every = choose_eval_every(sized, fixed, epochs)
    expected, training = found.total(epochs, every), found.training(epochs, every)
    before = "features" if recipe.frozen else "reading images"
    text = (
        f"--minutes {minutes:g} takes {describe_size(sized)}{format_count(epochs, 'epoch')}: about {format_duration(expected)}, "
        f"{format_duration(found.preparation)} of them for {before} and {format_duration(training)} for training"
    )
    return sized.change(epochs=epochs, eval_every=every), text


def list_sizes(recipe: Recipe, fixed: Collection[str]) -> list[Recipe]:
    """Return the recipe, and a frozen one also at every smaller size that the network takes, the largest first."""
    recipes = [recipe]
    if recipe.frozen and "views" not in fixed and is_resizable(recipe.views):
        for size in SIZES:
            if size < recipe.transform_set.size:
                smaller = recipe.change(views=change_size(recipe.views, size))
                with suppress(LongtailError):  # the network does not take this size
                    smaller.build_net()
                    recipes.append(smaller)
    return recipes


def choose_epochs(recipe: Recipe, fixed: Collection[str], found: Estimate, budget: float) -> int | None:
    """Return the most epochs that fit into a budget in seconds, at most four times those of the recipe; None if none do."""
    choices = range(found.stages, max(MOST_EPOCHS * recipe.epochs, found.stages) + 1)
    if "epochs" in fixed:
        choices = range(recipe.epochs, recipe.epochs + 1)
    fits = (n for n in reversed(choices) if found.total(n, choose_eval_every(recipe, fixed, n)) <= budget)
    return next(fits, None)


def choose_eval_every(recipe: Recipe, fixed: Collection[str], epochs: int) -> int:
    """Return the epochs between tests for a number of epochs: as given, or five tests at least."""
    if "eval_every" in fixed or not recipe.eval_every:
        return recipe.eval_every
    return spread_tests(epochs)


def describe_size(recipe: Recipe) -> str:
    """Return the size of the images in words, if a budget may choose the size."""
    return f"images of {recipe.transform_set.size} x {recipe.transform_set.size} and " if recipe.frozen else ""
