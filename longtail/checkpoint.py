"""Save and restore the checkpoint of a run: everything that training needs to go on to the same weights."""

import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from longtail.errors import LongtailError
from longtail.nets.pretrained import READ_FAILURES, check_readable, find_damaged_member
from longtail.recipe import Recipe
from longtail.runs.checks import check_rows
from longtail.runs.files import report_damage, write_bytes
from longtail.runs.folder import RunFolder
from longtail.stages import StagePlan

NAME = "checkpoint.pt"
OWN_LOSS = "; in a loss of your own, look for log(0) and 0 / 0"
# A CPU saves every epoch; a GPU may train one in half a second, and a checkpoint would take a fifth of that.
SECONDS_BETWEEN = {"cpu": 0, "cuda": 5}  # between two checkpoints; the last and the best epoch have one
KEYS = {"stage", "epoch", "rows", "method", "optimiser", "recipe"}  # names in the file, as since version 0.1


def save_checkpoint(run: RunFolder, state: dict) -> None:
    """Replace the checkpoint of a run; `state` has the keys in KEYS."""
    content = io.BytesIO()
    torch.save(state, content)
    write_bytes(run.path / NAME, content.getbuffer())


def load_checkpoint(run: RunFolder) -> dict | None:
    """Return the checkpoint of a run, or None if there is none; code in the file is never run.

    Raises LongtailError for a file that is damaged, is no checkpoint, or belongs to another recipe.
    """
    if not run.has(NAME):
        return None
    path = run.path / NAME
    check_readable(path)
    refused = LongtailError(f"{path} is not a checkpoint of longtail and was not loaded; move it away to begin anew")
    try:
        damaged = find_damaged_member(path)  # torch.load does not compare the archive's checksums
        state = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except READ_FAILURES as error:
        raise refused from error
    if damaged:
        raise LongtailError(f"{path} is damaged (in {damaged}) and was not loaded; move it away to begin anew")
    if not isinstance(state, dict) or state.keys() != KEYS:
        raise refused
    with report_damage(path):
        try:
            recipe = Recipe(**state["recipe"])
        except LongtailError as error:
            raise LongtailError(f"{path} holds a wrong recipe ({error}); move it away to begin anew") from error
        if has_nan(state["method"]) or has_nan(state["optimiser"]):
            raise LongtailError(f"{path} holds numbers that are not a number (nan); move it away to begin anew")
    is_same = recipe == run.read_recipe()
    if not is_same:
        raise LongtailError(f"{path} belongs to a run of another recipe and was not loaded; move it away to begin anew")
    return state


def has_nan(state: object) -> bool:
    """Return whether any tensor or number in nested dictionaries and lists is not a number."""
    if isinstance(state, Mapping):
        return any(map(has_nan, state.values()))
    if isinstance(state, list | tuple):
        return any(map(has_nan, state))
    return bool(state.isnan().any()) if isinstance(state, Tensor) else state != state


def lock_and_load(run: RunFolder, plans: Sequence[StagePlan], stack: ExitStack) -> dict | None:
    """Lock a run until the stack closes, and return its checkpoint if there is one; see `load_checkpoint` for errors."""
    stack.enter_context(run.locked())
    if (state := load_checkpoint(run)) is not None:
        check_place(run, plans, state)
    return state


def check_place(run: RunFolder, plans: Sequence[StagePlan], state: dict) -> None:
    """Raise LongtailError unless stage, epoch and rows of a checkpoint are a place in the stages of the run."""
    stage, epoch, rows, path = state["stage"], state["epoch"], state["rows"], run.path / NAME
    planned = plans[stage].epochs if type(stage) is int and 0 <= stage < len(plans) else 0
    if type(epoch) is not int or not 1 <= epoch <= planned:
        raise LongtailError(
            f"{path} is of stage {stage!r}, epoch {epoch!r}, which this run has not, and was not loaded; move it away to "
            "begin anew"
        )
    with report_damage(path):
        check_rows(rows)
        if len(rows) != plans[stage].first_epoch + epoch:
            raise ValueError(f"{len(rows)} rows of metrics after {plans[stage].first_epoch + epoch} epochs")


def check_terms(run: RunFolder | None, bad: tuple[str, int] | None, epoch: int, done: int) -> None:
    """Raise LongtailError if a loss term is not finite; `bad` is its name and step after the `done` steps of the epoch."""
    if bad:
        where = f"the loss term '{bad[0]}' is not finite at step {done + bad[1]} of epoch {epoch}"
        raise divergence_error(run, where, epoch)


def check_weights(run: RunFolder | None, parameters: Mapping[str, Tensor], epoch: int) -> None:
    """Raise LongtailError if weights are not finite after an epoch (from 1), before they replace a good checkpoint."""
    finite = torch.stack([parameter.isfinite().all() for parameter in parameters.values()]).tolist()
    if broken := [name for name, good in zip(parameters, finite, strict=True) if not good]:
        raise divergence_error(run, f"the weights of {broken[0]} are not finite after epoch {epoch}", epoch)


def divergence_error(run: RunFolder | None, what: str, epoch: int) -> LongtailError:
    """Return the error for a run that diverged in an epoch (from 1), saying which checkpoint is left, if any is kept."""
    if run is None:
        return LongtailError(f"{what}. Try a lower lr")
    kept = "no epoch was finished, so there is no checkpoint"
    if epoch > 1:
        kept = f"the last good checkpoint is {run.path / NAME}"
    return LongtailError(f"{what}; {kept}. Try a lower --lr with another --out{OWN_LOSS}")
