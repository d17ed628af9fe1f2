"""Keep the epoch that is best on the validation images, beside the last one; the test images choose nothing."""

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
    """Raise LongtailError if there is nothing to select, or nothing to select by.

    No validation images, none of the classes that count, or a method that is made after its last epoch.
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
            f"--select {recipe.select}: there is no such number, as none of its classes has validation images; "
            "--select balanced always has one"
        )


def find_best_epoch(rows: list[dict], metric: str) -> dict:
    """The row of the first epoch that no other surpasses on validation; calibration error is best where it is smallest."""
    sign = -1 if metric == "ece" else 1
    return max(rows, key=lambda row: sign * row[f"val_{metric}"])


def evaluate_selected(
    run: RunFolder, recipe: Recipe, method: Method, split: Split, rows: list[dict], world: World = SINGLE_PROCESS
) -> dict:
    """What `results.json` says of the selected epoch: which, its validation numbers, and its model's on the test images."""
    row, last = find_best_epoch(rows, recipe.select), method.inference_state()
    last = {name: value.clone() for name, value in last.items()}
    method.load_state_dict(world.on_main(lambda: run.read_tensors(SELECTED_WEIGHTS)), strict=False)
    found = predict_subset(method, split.test, recipe.transform_set, world).results(split.classes.counts)
    method.load_state_dict(last, strict=False)
    val = {name.removeprefix("val_"): value for name, value in row.items() if name.startswith("val_")}
    return {"by": recipe.select, "epoch": row["epoch"], "val": val} | found
