"""The Python interface: train a run, load it, use it."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from longtail.budget import fit_minutes
from longtail.data import Split
from longtail.data.catalog import resolve_path
from longtail.distributed import World, init_world
from longtail.errors import LongtailError, name_parameters
from longtail.evaluate import compute_logits, predict_subset
from longtail.hub import is_hub_name
from longtail.inference.calibrate import calibrate_run, choose_score
from longtail.inference.calibration import Calibration, CalibrationOptions, read_calibration
from longtail.inference.decisions import Decider, DecisionOptions
from longtail.inference.export import export
from longtail.inference.images import list_images, to_image_tensor
from longtail.inference.predict import Prediction, build_predictions
from longtail.inference.prior import move_to_prior, parse_target_prior
from longtail.launch import train as launch
from longtail.machine import default_threads
from longtail.methods import Method, name_method
from longtail.publish import fetch_run
from longtail.recipes import recipe_for
from longtail.report import write_run_report
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import default_run_path
from longtail.runs.results import LAST_WEIGHTS, SELECTED_WEIGHTS, Predictions
from longtail.tracking import PrintReport, SilentReport


@name_parameters()
def train(
    data: str | os.PathLike,
    method: str | type[Method] | None = None,
    *,
    out: str | Path | None = None,
    recipe: str | None = None,
    root: str | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    cache: str | Path | None = None,
    slim: bool = False,
    minutes: float | None = None,
    verbose: bool = False,
    **changes: Any,
) -> "Model":
    """Train a method on a data set, by name or path, into the run folder `out`, and return the trained model.

    `method` is a name of `longtail methods` or a subclass of `longtail.methods.Method`; None is ecl, logit_adjustment on
    frozen features, which custom data take by default, and bc with light tuning. `cache` is the folder of cached features;
    a `slim` run does not keep its frozen encoder. `minutes` is the time that the run may take: the number of epochs and,
    on frozen features, the size of the images are fitted to what is measured on this machine. `changes` are fields of the
    recipe, options of the method, and `size`, the side of custom images in pixels. The caller's random state, threads and
    precision settings stay as they are. Raises LongtailError for bad input or an existing folder.
    """
    resolved = recipe_for(data, recipe, method=None if method is None else name_method(method), **changes)
    path = out or default_run_path(resolved)
    where: dict[str, Any] = {"root": root, "device": device, "threads": threads, "workers": workers, "cache": cache}
    where["resume"] = resume
    with PrintReport() if verbose else SilentReport() as report:
        if minutes is not None:
            resolved = fit_minutes(resolved, minutes, changes.keys(), path, report, **where)
        run = launch(resolved, path, report, slim=slim, **where)
        write_run_report(run.path, report)
    return load(run.path, device=device, threads=threads)


@name_parameters()
def load(
    run: str | Path,
    *,
    method: type[Method] | None = None,
    selected: bool = False,
    device: str = "auto",
    threads: int | None = None,
) -> "Model":
    """Load the model of a finished run or, with `selected`, that of the epoch that validation selected.

    `run` is a folder, or `hf:owner/name[@rev]`, a run of the hub. A run of a method that was passed as a class, and cannot be
    imported here, needs that class as `method`. Raises LongtailError if the run is not finished or damaged.
    """
    named = None if method is None else name_method(method)
    found = FinishedRun.open(fetch_run(str(run), named) if is_hub_name(run) else run)
    found.folder.origin = str(run) if is_hub_name(run) else None
    return Model(found, init_world(device, threads), SELECTED_WEIGHTS if selected else LAST_WEIGHTS)


class Model:
    """A trained model: its classes, their training counts, its results, and logits and predictions for images."""

    def __init__(self, run: FinishedRun, world: World, weights: str = LAST_WEIGHTS):
        self.run, self.weights, self.recipe = run, weights, run.recipe
        self.world = replace(world, threads=world.threads or default_threads(run.transform_set.size))
        self.method = run.load_method(weights).to(world.device)
        with run.folder.report_damage("model.json"):
            self.classes, self.train_counts = run.model["classes"], run.model["train_counts"]
            self.size = tuple(run.model["transform"]["size"])
        self.path, self.transform_set = run.path, run.transform_set

    def __repr__(self) -> str:
        source = self.run.folder.origin or self.path
        return f"<{self.recipe.method} on {self.recipe.data}, {len(self.classes)} classes, from {source}>"

    @property
    def results(self) -> dict:
        """Return the contents of `results.json`."""
        return self.run.results

    def logits(self, images: Tensor) -> Tensor:
        """Compute logits, (N, 3, H, W) uint8 RGB of the training size -> (K, N, C) float32; the ensemble is the mean over K.

        Raises LongtailError for another type or shape.
        """
        if (
            not isinstance(images, Tensor)
            or images.dtype != torch.uint8
            or images.dim() != 4
            or images.shape[1] != 3
            or tuple(images.shape[2:]) != self.size
        ):
            raise LongtailError(
                f"images are {type(images).__name__} {getattr(images, 'dtype', '')} {tuple(getattr(images, 'shape', ()))}; "
                f"expected torch.uint8 (N, 3, {self.size[0]}, {self.size[1]})"
            )
        with self.world.session(tf32=self.recipe.precision == "tf32"):
            return compute_logits(self.method, images, self.transform_set)

    @name_parameters()
    def evaluate(self, split: Split) -> Predictions:
        """Compute the logits of the test images of a split: plain, with flip TTA, and with five crops if the recipe has them."""
        with self.world.session(tf32=self.recipe.precision == "tf32"):
            return predict_subset(self.method, split.test, self.transform_set, five_crop=self.recipe.five_crop)

    @property
    def calibration(self) -> Calibration:
        """Return the contents of `calibration.json`; raises LongtailError if the model is not calibrated."""
        return read_calibration(self.run, self.weights)

    @name_parameters()
    def calibrate(
        self,
        images: str | Path | None = None,
        *,
        coverage: float = 0.9,
        by: str = "group",
        score: str | None = None,
        weight: float = 0.9,
        root: str | None = None,
        data: str | Path | None = None,
    ) -> tuple[Calibration, list[str]]:
        """Calibrate the model on labeled images or, without, on the validation part of its run; write `calibration.json`.

        `coverage` is the share of images whose set must hold their class. `by` says which images share a threshold: "all",
        "group" (many, medium, few), "class", or "interpolated", `weight` of the class's own and the rest of the one for all.
        `score` is "pas", "lac", "aps" or "raps"; None is pas where the class prior of the logits is known, else lac. `root`
        and `data` say where the data of the run were moved.
        Returns the calibration and notes. Raises LongtailError for bad images, for images of training, and for too few.
        """
        self.run.folder.check_own()
        options = CalibrationOptions(coverage, by, choose_score(self.method) if score is None else score, weight)
        recipe = self.recipe.change(data=resolve_path(os.fspath(data))) if data else None
        with self.world.session(tf32=self.recipe.precision == "tf32"):
            return calibrate_run(self.run, self.method, self.weights, images, options, root=root, recipe=recipe)

    @name_parameters()
    def predict(
        self,
        images: object,
        *,
        top: int = 5,
        target_prior: str | Path | None = None,
        calibrated: bool = False,
        sets: bool = False,
        unknown: float | None = None,
        hierarchy: str | Path | None = None,
        sure: float | None = None,
    ) -> Prediction | list[Prediction]:
        """Return the most probable classes of an image, or of each of several, of any size.

        An image is a path, a PIL image, a uint8 array (H, W, 3) or tensor (3, H, W); several are a list, a generator, a
        column of a table, or one array or tensor with a further axis in front.

        `target_prior` is uniform, train or a file, as for `parse_target_prior`. A model that is calibrated can do more, and
        its probabilities are then calibrated: `sets` of classes, `unknown` images (the share of known ones that may be
        called so), the most specific class or superclass of a `hierarchy` file that is `sure` (a probability), and the
        target prior "estimate". `Prediction.decision` holds them.
        Raises LongtailError for bad input.
        """
        options = DecisionOptions(calibrated, sets, unknown, hierarchy, sure)
        several = list_images(images)
        images = images if several is None else several
        logits = self.logits(to_image_tensor(images, self.transform_set))
        decider, _ = self.build_decider(options, target_prior, [logits.mean(0)])
        if decider is None:
            logits = self.move_to_prior(logits, target_prior)
        found = build_predictions(logits, self.classes, top, decider)
        return found if several is not None or len(getattr(images, "shape", ())) == 4 else found[0]

    def build_decider(
        self, options: DecisionOptions, target_prior: str | Path | None, batches: Iterable[Tensor]
    ) -> tuple[Decider | None, int]:
        """Return what decides on images as asked, None if nothing is asked, and the images of an estimated prior.

        `batches` yields the ensemble's logits as trained of all images, (n, C) each; they are read to estimate only.
        """
        if not options.needs_calibration(target_prior):
            return None, 0
        return Decider.build(self.calibration, options, self.method, self.classes, target_prior, batches)

    @name_parameters()
    def adjusted_logits(self, images: Tensor, target_prior: str | Path | None = None) -> Tensor:
        """Compute logits under a class prior other than that of training (ECL, Eq. 4); None leaves them as trained."""
        return self.move_to_prior(self.logits(images), target_prior)

    def move_to_prior(self, logits: Tensor, target_prior: str | Path | None) -> Tensor:
        """Move logits as trained to another class prior (ECL, Eq. 4); None leaves them."""
        target = (
            None if target_prior is None else parse_target_prior(str(target_prior), self.classes, self.train_counts)
        )
        return move_to_prior(logits, self.method, target)

    @name_parameters()
    def export(self, kind: str, expert: int | None = None, out: str | Path | None = None) -> tuple[Path, float]:
        """Write "onnx" or "safetensors" for use elsewhere; see `longtail.inference.export.export`."""
        return export(self.run, self.method, kind, expert, out, selected=self.weights == SELECTED_WEIGHTS)
