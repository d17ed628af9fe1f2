"""What every figure is computed from: a finished run, its model, its test images, and the model's outputs on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from longtail.augment import TransformSet
from longtail.data import Split
from longtail.distributed import SINGLE_PROCESS
from longtail.errors import LongtailError
from longtail.evaluate import compute_features, compute_logits
from longtail.methods import Method
from longtail.metrics import shot_group
from longtail.recipe import Recipe
from longtail.runs.finished import FinishedRun


@dataclass(eq=False)
class RunOutputs:
    """A finished run and its model's outputs on the test images, computed when first asked for; `label` names it in pictures."""

    label: str
    run: FinishedRun

    @classmethod
    def load(cls, run: str | Path | FinishedRun, split: Split | None = None) -> "RunOutputs":
        """Load a run, with its test images if they are at hand.

        Raises LongtailError if the run is not finished, or if its test images differ from those of the split.
        """
        run = run if isinstance(run, FinishedRun) else FinishedRun.open(run)
        found = cls(run.recipe.method, run)
        if split is not None:
            run.folder.check_images(split, "test")
            found.split = split
        return found

    @cached_property
    def split(self) -> Split:
        """Load the data the run was trained and tested on; raises LongtailError if they are no longer there."""
        return self.run.load_data()

    @cached_property
    def method(self) -> Method:
        """Load the trained method, in evaluation mode."""
        return self.run.load_method()

    @cached_property
    def logits(self) -> Tensor:
        """Compute the logits of the test images without flip TTA, (K, N, C) float32; the ensemble is the mean over K."""
        with SINGLE_PROCESS.session(tf32=self.recipe.precision == "tf32"):
            return compute_logits(self.method, self.split.test, self.transform_set)

    @cached_property
    def features(self) -> Tensor:
        """Compute the features of the test images, (K, N, d) float32; a single network has K = 1."""
        with SINGLE_PROCESS.session(tf32=self.recipe.precision == "tf32"):
            return compute_features(self.method, self.split.test, self.transform_set)

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
        """Return the transform set, whose statistics turn images into the network's input."""
        return self.recipe.transform_set

    @property
    def order(self) -> np.ndarray:
        """Return the classes from the most training images to the fewest, (C,)."""
        return np.argsort(-self.counts, kind="stable")

    @property
    def groups(self) -> list[str]:
        """Return the group of each class: many, medium or few."""
        return [shot_group(int(n)) for n in self.counts]


def load_runs(runs: Sequence[str | Path]) -> list[RunOutputs]:
    """Load several runs of the same data, each with a label of its own.

    Raises LongtailError for a run of other data than the first.
    """
    found = [RunOutputs.load(run) for run in runs]
    for outputs in found[1:]:
        if differing := find_difference(found[0].run, outputs.run):
            raise LongtailError(
                f"{outputs.run.path} is a run of other data than {found[0].run.path} ({differing} differs); "
                "compare runs of the same data and imbalance"
            )
    for names in ([o.run.path.resolve().name for o in found], [str(o.run.path) for o in found]):
        labels = [outputs.label for outputs in found]
        for outputs, name in zip(found, names, strict=True):
            if labels.count(outputs.label) > 1:
                outputs.label = name
    return found


def find_difference(run: FinishedRun, other: FinishedRun) -> str | None:
    """Return in which entry of `split.json` two runs' class tables or test images differ, or None."""
    tables = []
    for one in (run, other):
        with one.folder.report_damage("split.json"):
            tables.append({key: one.split[key] for key in ("classes", "train_counts", "test_sha256")})
    return next((key for key, value in tables[0].items() if value != tables[1][key]), None)
