"""`RunOutputs`: a finished run with the logits and features of its test images, from which every figure is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from longtail.augment import TransformSet
from longtail.data import LazyImages, Split
from longtail.data.split import Subset
from longtail.distributed import SINGLE_PROCESS
from longtail.errors import LongtailError
from longtail.evaluate import compute_features, compute_logits
from longtail.features import load_test_features
from longtail.inference.calibration import NAME as CALIBRATION
from longtail.inference.calibration import Calibration, read_calibration
from longtail.methods import Method
from longtail.metrics import shot_group
from longtail.recipe import Recipe
from longtail.runs.finished import FinishedRun
from longtail.runs.results import LAST_WEIGHTS


@dataclass(eq=False)
class RunOutputs:
    """A finished run with the outputs of its model on the test images, computed at first use; figures show `label`."""

    label: str
    run: FinishedRun

    @classmethod
    def load(cls, run: str | Path | FinishedRun, split: Split | None = None) -> "RunOutputs":
        """Load a run; `split`, if it is given, replaces reading the data again.

        Raises LongtailError if the run is not finished, or if its test images differ from those of the split.
        """
        run = run if isinstance(run, FinishedRun) else FinishedRun.open(run)
        outputs = cls(run.recipe.method, run)
        if split is not None:
            run.folder.check_images(split, "test")
            outputs.split = split
        return outputs

    @cached_property
    def split(self) -> Split:
        """Load the data the run was trained and tested on; raises LongtailError if they are no longer there."""
        return self.run.load_data()

    @cached_property
    def method(self) -> Method:
        """Load the trained method, in evaluation mode."""
        return self.run.load_method()

    @cached_property
    def test_inputs(self) -> Subset:
        """Return the test images as the method takes them: pixels or, in a frozen run, features from the cache."""
        if not self.recipe.frozen:
            return self.split.test
        assert isinstance(self.split.test, LazyImages)  # images of a frozen run stay in files
        return load_test_features(self.run, self.split.test)

    @cached_property
    def logits(self) -> Tensor:
        """Compute the logits of the test images without flip TTA, (K, N, C) float32; the ensemble is the mean over K."""
        with SINGLE_PROCESS.session(tf32=self.recipe.precision == "tf32"):
            return compute_logits(self.method, self.test_inputs, self.transform_set)

    @cached_property
    def features(self) -> Tensor:
        """Compute the features of the test images, (K, N, d) float32; a single network has K = 1."""
        with SINGLE_PROCESS.session(tf32=self.recipe.precision == "tf32"):
            return compute_features(self.method, self.test_inputs, self.transform_set)

    @property
    def is_calibrated(self) -> bool:
        """Return whether the run has a calibration."""
        return self.run.folder.has(CALIBRATION)

    @cached_property
    def calibration(self) -> Calibration:
        """Read the calibration of the last epoch; raises LongtailError if there is none, or if it is damaged."""
        return read_calibration(self.run, LAST_WEIGHTS)

    @property
    def recipe(self) -> Recipe:
        """Return the recipe of the run."""
        return self.run.recipe

    @property
    def names(self) -> list[str]:
        """Return the class names in label order."""
        return list(self.run.classes.names)

    @property
    def counts(self) -> np.ndarray:
        """Return the training images of each class, (C,)."""
        return np.array(self.run.classes.counts, dtype=np.int64)

    @property
    def labels(self) -> Tensor:
        """Return the labels of the test images, (N,)."""
        return self.split.test.labels

    @property
    def transform_set(self) -> TransformSet:
        """Return the transform set, which normalizes images as in training."""
        return self.run.transform_set

    @property
    def order(self) -> np.ndarray:
        """Return the classes from the most training images to the fewest, (C,)."""
        return np.argsort(-self.counts, kind="stable")

    @property
    def groups(self) -> list[str]:
        """Return the group of each class: many, medium or few."""
        return [shot_group(int(n)) for n in self.counts]


def load_runs(runs: Sequence[str | Path]) -> list[RunOutputs]:
    """Load several runs of the same data with distinct labels.

    Raises LongtailError for a run of other data than the first.
    """
    loaded = [RunOutputs.load(run) for run in runs]
    for outputs in loaded[1:]:
        if entry := find_difference(loaded[0].run, outputs.run):
            raise LongtailError(
                f"{outputs.run.path} is a run of other data than {loaded[0].run.path} ({entry} differs); "
                "compare runs of the same data and imbalance"
            )
    # a label is the method, then the folder's name where methods repeat, then the path where names repeat
    for names in ([o.run.path.resolve().name for o in loaded], [str(o.run.path) for o in loaded]):
        labels = [outputs.label for outputs in loaded]
        for outputs, name in zip(loaded, names, strict=True):
            if labels.count(outputs.label) > 1:
                outputs.label = name
    return loaded


def find_difference(run: FinishedRun, other: FinishedRun) -> str | None:
    """Return the first entry of `split.json` in which two runs' class tables or test images differ, or None."""
    tables = []
    for each in (run, other):
        with each.folder.report_damage("split.json"):
            tables.append({key: each.split[key] for key in ("classes", "train_counts", "test_sha256")})
    return next((key for key, value in tables[0].items() if value != tables[1][key]), None)
