"""Calibration images: the validation part of a run, or labeled images that the run was not trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from longtail.data import LazyImages, Split
from longtail.data.classes import RawSplit, normalize_class_name
from longtail.data.custom import read_raw_splits
from longtail.data.matching import find_shared
from longtail.data.memory import ReadErrors, try_each
from longtail.data.split import Subset
from longtail.errors import LongtailError, expand_path, is_special_file, unknown_name
from longtail.inference.images import refuse_url
from longtail.runs.finished import FinishedRun


@dataclass(frozen=True)
class CalibrationImages:
    """Labeled images, where they come from in words and facts for `calibration.json`, and notes for the user."""

    images: Subset
    facts: dict
    notes: list[str]


def load_validation_images(run: FinishedRun, split: Split) -> CalibrationImages:
    """Take the validation part of a run; raises LongtailError if there is none, or if it is not the one of training."""
    if split.val is None:
        raise LongtailError(
            f"{run.path} has no validation part; name labeled images (longtail calibrate RUN IMAGES), or train with "
            "--val-share 0.1"
        )
    run.folder.check_images(split, "val")
    facts = {"source": "validation part", "count": len(split.val), "sha256": split.val.digest(), "tested": 0}
    return CalibrationImages(split.val, facts, [])


def load_labeled_images(run: FinishedRun, path: str, split: Split | None, reason: str) -> CalibrationImages:
    """Read labeled images: a folder of class folders, a table or list with labels, or parquet files.

    `split` has the images of the run; without, for the given reason, a note says that nothing could be compared. Raises
    LongtailError for classes that the run does not know, and for images that it was trained on.
    """
    images, notes = read_labeled_images(path, run.classes.names)
    check_errors(try_each(images.read_header, len(images))[1], len(images), f"images of {path}")
    facts = {"source": "labeled images", "count": len(images), "sha256": images.digest(), "tested": None}
    if split is None:
        return CalibrationImages(
            images, facts, [*notes, f"images could not be compared with those of training: {reason}"]
        )
    (is_trained, is_tested), errors, known_errors = find_shared(images, (split.train, split.test))
    check_errors(known_errors, len(split.train) + len(split.test), "images of the run")
    check_errors(errors, len(images), "calibration images")
    if is_trained.any():
        first = images.name(int(is_trained.argmax()))
        raise LongtailError(
            f"{is_trained.sum():,} of {len(images):,} images of {path} are training images of {run.path}, the first "
            f"{first}; calibrate on images that the model has not seen"
        )
    tested = int(is_tested.sum())
    if tested:
        notes.append(
            f"{tested:,} of {len(images):,} images are test images of the run, so they no longer test the sets"
        )
    return CalibrationImages(images, facts | {"tested": tested}, notes)


def read_labeled_images(path: str, classes: Sequence[str]) -> tuple[LazyImages, list[str]]:
    """List labeled images with the labels of the run's classes, and notes; no image is read.

    Raises LongtailError for a path that holds no labeled images or names several subsets, and for an unknown class.
    """
    refuse_url(path)
    place = expand_path(path)
    if is_special_file(place):
        raise LongtailError(f"{path} is a pipe, socket or device; name a folder, a table, a list or a parquet file")
    found, notes = read_raw_splits(place, "val", None)
    if len(found) > 1:
        raise LongtailError(
            f"{path} names the subsets {', '.join(found)}; name a folder or file that holds the calibration images alone"
        )
    (raw,) = found.values()
    return align_labels(raw, path, classes), notes


def align_labels(raw: RawSplit, path: str, classes: Sequence[str]) -> LazyImages:
    """Give images the labels of a run's classes by name; raises LongtailError for a class that the run does not know."""
    label_by_name = {name: label for label, name in enumerate(classes)}
    spelled = [normalize_class_name(name) for name in raw.names]
    used = [spelled[code] for code in np.unique(raw.codes)]
    if not used:
        raise LongtailError(f"{path} holds no images")
    if unknown := [name for name in used if name not in label_by_name]:
        others = f" ({len(unknown):,} of its {len(used):,} classes are unknown)" if len(unknown) > 1 else ""
        raise unknown_name(f"class in {path}{others}", unknown[0], classes)
    labels = np.array([label_by_name.get(name, -1) for name in spelled], dtype=np.int64)[raw.codes]
    return LazyImages(raw.index, torch.from_numpy(labels))


def check_errors(errors: ReadErrors, n: int, name: str) -> None:
    """Raise LongtailError if some of n images cannot be read."""
    if errors:
        raise LongtailError(f"{len(errors):,} of {n:,} {name} cannot be read, the first {errors.first[0]}; remove them")
