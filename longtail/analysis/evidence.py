"""What every figure is computed from: one finished run, its model, its test images, and what the model says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from longtail.augment import Family
from longtail.data import Split
from longtail.errors import LongtailError
from longtail.evaluate import features_of, load_method, logits_of
from longtail.methods import Method
from longtail.metrics import group_of
from longtail.recipe import Recipe
from longtail.runs import RunFolder


@dataclass(eq=False)
class Evidence:
    """One finished run; images, logits and features are loaded or computed when first asked for, then kept.

    `names` and `counts` (C,) are the class table, `rows` those of metrics.csv, `label` what a picture calls the run.
    """

    label: str
    run: RunFolder
    recipe: Recipe
    method: Method
    names: list[str]
    counts: np.ndarray
    results: dict
    rows: list[dict]

    @classmethod
    def of(cls, run: str | Path | RunFolder, split: Split | None = None) -> "Evidence":
        """The evidence of a run, with its test images if they are at hand.

        Raises LongtailError if the run is not finished or the images are others than it was tested on.
        """
        run = run if isinstance(run, RunFolder) else RunFolder.open(run)
        recipe, method = load_method(run)
        with run.as_written("model.json"):
            described = run.read_json("model.json")
            names, counts = described["classes"], np.array(described["train_counts"], dtype=np.int64)
        found = cls(recipe.method, run, recipe, method, names, counts, run.read_json("results.json"), rows_of(run))
        if split is not None:
            run.check_images(split, "test")
            found.split = split
        return found

    @cached_property
    def split(self) -> Split:
        """The data as the run was trained and tested on; raises LongtailError if they are no longer there."""
        return self.run.load_data(self.recipe)

    @cached_property
    def plain(self) -> Tensor:
        """(K, N, C) float32 logits of the test images, without mirror images; the ensemble is the mean over K."""
        return logits_of(self.method, self.split.test, self.views)

    @cached_property
    def features(self) -> Tensor:
        """(K, N, d) float32 features of the test images, in evaluation mode; a single network has K = 1."""
        return features_of(self.method, self.split.test, self.views)

    @property
    def labels(self) -> Tensor:
        """(N,) true classes of the test images."""
        return self.split.test.labels

    @property
    def views(self) -> Family:
        """Statistics of the images, which turn them into the network's input."""
        return self.recipe.family

    @property
    def order(self) -> np.ndarray:
        """(C,) classes from the most training images to the fewest."""
        return np.argsort(-self.counts, kind="stable")

    @property
    def groups(self) -> list[str]:
        """many, medium or few, a class."""
        return [group_of(int(n)) for n in self.counts]


def rows_of(run: RunFolder) -> list[dict]:
    """The rows of metrics.csv: numbers, None for an empty cell, and the stage's name; raises LongtailError if it is damaged."""
    rows = run.read_csv("metrics.csv")
    with run.as_written("metrics.csv"):
        return [
            {key: cell if key == "stage" else float(cell) if cell else None for key, cell in row.items()}
            for row in rows
        ]


def gather(runs: Sequence[str | Path]) -> list[Evidence]:
    """The evidence of several runs of the same data, each with a label of its own.

    Raises LongtailError for a run of other data than the first.
    """
    found = [Evidence.of(run) for run in runs]
    for evidence in found[1:]:
        if differing := difference(found[0].run, evidence.run):
            raise LongtailError(
                f"{evidence.run.path} is a run of other data than {found[0].run.path} ({differing} differs); "
                "compare runs of the same data and imbalance"
            )
    for names in ([e.run.path.resolve().name for e in found], [str(e.run.path) for e in found]):
        labels = [evidence.label for evidence in found]
        for evidence, name in zip(found, names, strict=True):
            if labels.count(evidence.label) > 1:
                evidence.label = name
    return found


def difference(run: RunFolder, other: RunFolder) -> str | None:
    """What two runs' class tables and test images differ in, if they do; raises LongtailError for a damaged split.json."""
    tables = []
    for folder in (run, other):
        with folder.as_written("split.json"):
            table = folder.read_json("split.json")
            tables.append({key: table[key] for key in ("classes", "train_counts", "test_sha256")})
    return next((key for key, value in tables[0].items() if value != tables[1][key]), None)
