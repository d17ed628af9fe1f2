"""Calibration of a finished run: its logits on images that it was not trained on become `calibration.json`."""

from pathlib import Path

from torch import Tensor

from longtail.data import LazyImages
from longtail.data.split import Subset
from longtail.errors import LongtailError
from longtail.evaluate import compute_logits
from longtail.features import load_test_features
from longtail.inference.calibration import (
    Calibration,
    CalibrationOptions,
    Priors,
    calibrate_logits,
    write_calibration,
)
from longtail.inference.labeled import CalibrationImages, load_labeled_images, load_validation_images
from longtail.methods import Method
from longtail.recipe import Recipe
from longtail.runs.finished import FinishedRun
from longtail.runs.results import SELECTED_WEIGHTS

SHOWN = 10  # names of classes in a note


def calibrate_run(
    run: FinishedRun,
    method: Method,
    weights: str,
    images: str | Path | None,
    options: CalibrationOptions,
    *,
    root: str | None = None,
    recipe: Recipe | None = None,
) -> tuple[Calibration, list[str]]:
    """Calibrate a run on labeled images or, without, on its validation part; write `calibration.json`.

    `weights` names the file that `method` was loaded from, `recipe` the data where they were moved. Returns the calibration
    and notes for the user. Raises LongtailError for bad images, and for too few.
    """
    found = load_calibration_images(run, images, root, recipe)
    logits = compute_image_logits(run, method, found.images).mean(0)
    calibration = calibrate_logits(logits, found.images.labels, Priors.from_method(method), run, options, found.facts)
    write_calibration(run, calibration, weights)
    notes = [*found.notes, *note_missing_images(run, calibration)]
    if weights == SELECTED_WEIGHTS and images is None:
        notes.append("the validation part also selected the epoch, so its images look a little better than new ones")
    return calibration, notes


def load_calibration_images(
    run: FinishedRun, images: str | Path | None, root: str | None, recipe: Recipe | None
) -> CalibrationImages:
    """Load the validation part of a run, or labeled images; these may be used where the run's own data are gone."""
    if images is None:
        return load_validation_images(run, run.load_data(root, recipe))
    split, reason = None, ""
    try:
        split = run.load_data(root, recipe)
        run.folder.check_images(split, "train")
    except LongtailError as error:
        split, reason = None, str(error)
    return load_labeled_images(run, str(images), split, reason)


def compute_image_logits(run: FinishedRun, method: Method, images: Subset) -> Tensor:
    """Compute the logits of a subset, (K, N, C); a frozen run reads features from its cache, or keeps them there."""
    if run.recipe.frozen and isinstance(images, LazyImages):
        images = load_test_features(run, images, "calibration")
    return compute_logits(method, images, run.transform_set)


def note_missing_images(run: FinishedRun, calibration: Calibration) -> list[str]:
    """Return notes on classes without calibration images, and on classes whose threshold comes from others than asked."""
    options, thresholds, names = calibration.options, calibration.thresholds, run.classes.names
    notes = []
    if missing := [name for name, n in zip(names, thresholds.images, strict=True) if not n]:
        more = ", ..." if len(missing) > SHOWN else ""
        number = f"{len(missing):,} of {len(names):,} classes {'has' if len(missing) == 1 else 'have'}"
        notes.append(f"{number} no calibration images: {', '.join(missing[:SHOWN])}{more}")
    for source, n in thresholds.count_sources().items():
        if source != options.by:
            of = "all images" if source == "all" else "their group"
            number = "1 class has" if n == 1 else f"{n:,} classes have"
            notes.append(
                f"{number} too few calibration images for a threshold by {options.by}, and the one of {of} holds"
            )
    return notes


def choose_score(method: Method) -> str:
    """Return the default score: pas, or lac where the class prior that the logits assume is not known."""
    return "lac" if method.assumed_log_prior() is None else "pas"
