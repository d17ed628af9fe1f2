"""Selection: also keep the epoch that is best on the validation images; the test images choose nothing."""

import torch

from longtail.data import Split
from longtail.distributed import SINGLE_PROCESS, World
from longtail.errors import LongtailError
from longtail.evaluate import predict_subset
from longtail.methods import Method
from longtail.metrics import summarize
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.runs.results import SELECTED_WEIGHTS


def check_selection(recipe: Recipe, split: Split, method: Method) -> None:
    """Raise LongtailError if no epoch can be selected.

    That is without validation images, without any of the classes that the metric counts, and for a method whose model is
    made after its last epoch.
    """
    if recipe.select is None:
        return
    if not all(stage.share for stage in method.stages()):
        raise LongtailError(f"--select chooses an epoch, and {recipe.method} is made after the last one; leave it out")
    if split.val is None:
        raise LongtailError(
            f"--select {recipe.select} needs validation images, and {split.name} has none; "
            "--val-share 0.1 holds a tenth of every class of the training images out"
        )
    any_logits = torch.zeros(len(split.val), len(split.classes))
    if summarize(any_logits, split.val.labels, split.classes.counts)[recipe.select] is None:
        raise LongtailError(
            f"--select {recipe.select}: none of the classes that it counts has validation images; "
            "--select balanced always has some"
        )


def subsets_due(recipe: Recipe, split: Split, epoch: int, epochs: int) -> list[str]:
    """Return the subsets to evaluate after an epoch (from 1); the last epoch is tested when the run is finished."""
    is_due = bool(recipe.eval_every) and epoch % recipe.eval_every == 0
    is_validated = split.val is not None and (is_due or recipe.select is not None or epoch == epochs)
    return ["val"] * is_validated + ["test"] * (is_due and epoch < epochs)


def find_best_epoch(rows: list[dict], metric: str) -> dict:
    """Return the row of the first epoch with the best validation metric; for ece the smallest is best."""
    sign = -1 if metric == "ece" else 1
    return max(rows, key=lambda row: sign * row[f"val_{metric}"])


def evaluate_selected(
    run: RunFolder, recipe: Recipe, method: Method, split: Split, rows: list[dict], world: World = SINGLE_PROCESS
) -> dict:
    """Test the weights of the selected epoch; returns its number, its validation metrics and its results."""
    row = find_best_epoch(rows, str(recipe.select))
    last = {name: value.clone() for name, value in method.inference_state().items()}
    method.load_state_dict(world.on_main(lambda: run.read_tensors(SELECTED_WEIGHTS)), strict=False)
    results = predict_subset(method, split.test, recipe.transform_set, world).results(split.classes.counts)
    method.load_state_dict(last, strict=False)
    val = {name.removeprefix("val_"): value for name, value in row.items() if name.startswith("val_")}
    return {"by": recipe.select, "epoch": row["epoch"], "val": val} | results
