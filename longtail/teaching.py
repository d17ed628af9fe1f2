"""A finished run as the teacher of one network: the recipe of the student, and the ensemble's balanced logits."""

from typing import Any

import torch
from torch import Tensor, nn

from longtail.augment import TransformSet
from longtail.conflicts import IMAGE_FIELDS
from longtail.data import Split
from longtail.errors import LongtailError
from longtail.methods import Method
from longtail.recipe import Recipe
from longtail.recipes import recipe_for
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import RunFolder
from longtail.runs.results import LAST_WEIGHTS


class Ensemble(nn.Module):
    """The ensemble of a trained method under a uniform class prior: images or features (N, ...) -> logits (N, C).

    Images are normalized as `here` has it; a trunk and networks see them as `there` has it. Modules that logits do not need
    are left out.
    """

    scale: Tensor
    shift: Tensor
    assumed: Tensor

    def __init__(self, method: Method, here: TransformSet, there: TransformSet):
        super().__init__()
        self.method = method
        for name in [name for name, _ in method.named_children() if name not in (*method.inference, "trunk")]:
            setattr(method, name, None)
        ours, theirs = here.build_normalize("cpu"), there.build_normalize("cpu")
        self.is_renormalized = (here.mean, here.std) != (there.mean, there.std)
        self.register_buffer("scale", theirs.scale / ours.scale)
        self.register_buffer("shift", theirs.shift - ours.shift * theirs.scale / ours.scale)
        assumed = method.assumed_log_prior()
        self.register_buffer("assumed", torch.zeros(method.classes) if assumed is None else assumed.clone())

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 4 and self.is_renormalized:
            x = x * self.scale + self.shift
        z = self.method.logits(self.method.embed(x))
        return (z.mean(0) if z.dim() == 3 else z) - self.assumed


def build_student_recipe(run: FinishedRun, **changes: Any) -> Recipe:
    """Return the recipe of one network that learns from a run: its data and settings, with some fields and options changed.

    Raises LongtailError for a change of the data, for one expert that would teach its own network, and for a network that
    cannot see what the teacher sees.
    """
    teacher = run.recipe
    if fixed := [name for name in ("data", "method", "teacher", *IMAGE_FIELDS) if name in changes]:
        raise LongtailError(f"{fixed[0]} is that of {run.path}, whose images teach; leave --{fixed[0]} out")
    net, frozen = changes.get("net", teacher.net), changes.get("frozen", teacher.frozen and not changes.get("tune"))
    experts = len(run.results["plain"]["experts"])
    if experts == 1 and net == teacher.net and frozen == teacher.frozen:
        raise LongtailError(f"{run.path} has one network already, a {net}; name a smaller one with --net")
    if frozen and (not teacher.frozen or net != teacher.net):
        seen = f"features of {teacher.net}" if teacher.frozen else "images"
        way = "--no-frozen" if teacher.frozen else "no --frozen"
        raise LongtailError(
            f"{run.path} was trained on {seen} and can teach on these only, not on features of {net}; with {way} "
            f"the new {net} learns from images"
        )
    # the student has linear heads, which no means of classes begin
    given = {"teacher": str(run.path.resolve()), "class_means": False} | changes
    if frozen == teacher.frozen:
        if net != teacher.net and teacher.weights and "weights" not in changes:
            given["weights"] = "auto"
        return teacher.change(method="distill", **given)
    kept = {name: getattr(teacher, name) for name in IMAGE_FIELDS}
    return recipe_for(teacher.data, "tuned" if changes.get("tune") else "scratch", method="distill", **kept | given)


def describe_teacher(path: str) -> dict:
    """Return where a teacher is, its method, and the sha256 of its weights, for `environment.json`."""
    run = FinishedRun.open(path)
    return {"run": str(run.path), "method": run.recipe.method, "weights_sha256": run.folder.verify(LAST_WEIGHTS)}


def give_teacher(method: Method, recipe: Recipe, split: Split, weights_sha256: str | None = None) -> None:
    """Load the ensemble that a method learns from and hand it over, if the method asks for one.

    `weights_sha256` is of the frozen encoder of the student. Raises LongtailError for a run with other classes, other features,
    or images of another size.
    """
    if method.teacher_run is None:
        return
    if not method.teacher_run:
        raise LongtailError(f"{recipe.method} learns from a finished run; take `longtail distill RUN`")
    run = FinishedRun.open(method.teacher_run)
    if run.classes.names != split.classes.names:
        raise LongtailError(f"{run.path} knows other classes than {recipe.data} has, so it cannot teach them")
    here, there = recipe.transform_set, run.transform_set
    if (here.size, here.fit) != (there.size, there.fit):
        raise LongtailError(
            f"{run.path} sees images of {there.size} pixels, the new run of {here.size}; take its --views"
        )
    model = run.load_method()
    if recipe.frozen:
        with run.folder.report_damage("environment.json"):
            is_same = run.recipe.frozen and run.environment["weights"]["sha256"] == weights_sha256
        if not is_same or run.recipe.precision != recipe.precision:
            raise LongtailError(
                f"{run.path} was not trained on the features of {recipe.net} that the new run trains on"
            )
        model.trunk = None
    if model.assumed_log_prior() is None:
        method.notes.append(f"the class prior of {run.recipe.method} is not known: its logits teach as they are")
    method.take_teacher(Ensemble(model, here, there).to(method.log_prior.device))


def check_teacher_of_run(folder: RunFolder, path: str) -> None:
    """Raise LongtailError if an unfinished run was begun with another teacher than the one that is at the path now."""
    with folder.report_damage("environment.json"):
        there = folder.read_json("environment.json")["teacher"]["weights_sha256"]
    if there != describe_teacher(path)["weights_sha256"]:
        raise LongtailError(
            f"{folder.path} was begun with another model in {path}; restore it, or choose another --out"
        )
