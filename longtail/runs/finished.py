"""The one reader of finished runs: everything a run keeps, read when first asked for and checked on the way."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from longtail.data import ClassTable, Split
from longtail.errors import LongtailError
from longtail.methods import Method
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.runs.results import LAST_WEIGHTS


@dataclass(eq=False)
class FinishedRun:
    """A run that was trained to the end. Every attribute raises LongtailError that names a missing or damaged file."""

    folder: RunFolder

    @classmethod
    def open(cls, path: str | Path) -> "FinishedRun":
        """Open a finished run; raises LongtailError if the folder holds no run or an unfinished one."""
        folder = RunFolder.open(path)
        if not folder.has("results.json"):
            raise LongtailError(
                f"{folder.path} is not finished, so there is no model and nothing to report yet; "
                "the same train command with --resume goes on"
            )
        return cls(folder)

    @property
    def path(self) -> Path:
        """Return the path of the folder."""
        return self.folder.path

    @cached_property
    def recipe(self) -> Recipe:
        """Return the resolved recipe."""
        return self.folder.read_recipe()

    @cached_property
    def results(self) -> dict:
        """Return the contents of `results.json`."""
        return self.folder.read_json("results.json")

    @cached_property
    def model(self) -> dict:
        """Return the contents of `model.json`: classes, training counts, transform, options."""
        return self.folder.read_json("model.json")

    @cached_property
    def split(self) -> dict:
        """Return the contents of `split.json`: class table, sizes and hashes of the subsets."""
        return self.folder.read_json("split.json")

    @cached_property
    def environment(self) -> dict:
        """Return the contents of `environment.json`: machine and versions."""
        return self.folder.read_json("environment.json")

    @cached_property
    def classes(self) -> ClassTable:
        """Return the class table of training."""
        with self.folder.report_damage("model.json"):
            names, counts = self.model["classes"], self.model["train_counts"]
            pairs = zip(names, counts, strict=True)
            return ClassTable(*zip(*((str(name), int(count)) for name, count in pairs), strict=True))

    @cached_property
    def metrics(self) -> list[dict]:
        """Return the rows of `metrics.csv`: numbers, None for an empty cell, and the stage's name."""
        rows = self.folder.read_csv("metrics.csv")
        with self.folder.report_damage("metrics.csv"):
            return [
                {key: cell if key == "stage" else float(cell) if cell else None for key, cell in row.items()}
                for row in rows
            ]

    @cached_property
    def per_class(self) -> list[dict[str, str]]:
        """Return the rows of `per_class.csv`, one for each class, every cell as text."""
        rows = self.folder.read_csv("per_class.csv")
        with self.folder.report_damage("per_class.csv"):
            if len(rows) != len(self.classes):
                raise ValueError(f"{len(rows)} rows for {len(self.classes)} classes")
        return rows

    @cached_property
    def predictions(self) -> dict[str, np.ndarray]:
        """Return the columns label, predicted, confidence and index of `predictions.parquet`, (N,) each."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self.folder.report_damage("predictions.parquet"):
            try:
                table = pq.read_table(self.path / "predictions.parquet")
            except (OSError, pa.ArrowException) as error:
                raise ValueError(error) from error
            columns = {name: table[name].to_numpy() for name in ("label", "predicted", "confidence", "index")}
            labels = np.concatenate([columns["label"], columns["predicted"]])
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
                raise ValueError(f"labels outside the {len(self.classes)} classes")
        return columns

    def load_data(self, root: str | None = None, recipe: Recipe | None = None) -> Split:
        """Load the images the run was trained and tested on, from where training found them or from `root`.

        `recipe` replaces the run's own where the data were moved. Raises LongtailError if the test images differ.
        """
        split = (recipe or self.recipe).load_split(root or self.environment.get("root"))
        self.folder.check_images(split, "test")
        return split

    def load_method(self, weights: str = LAST_WEIGHTS) -> Method:
        """Return the trained method in evaluation mode, at the precision it was trained in.

        Raises LongtailError if the weights are missing, do not fit the recipe, or are not finite.
        """
        folder = self.folder
        if weights != LAST_WEIGHTS and not folder.has(weights):
            raise LongtailError(
                f"{self.path} has no {weights}: an epoch is selected by --select, which this run was not asked for"
            )
        recipe = self.recipe.change(weights=None)  # the trained weights replace those that training began with
        with folder.report_damage("model.json"), torch.random.fork_rng(devices=[]):
            method = recipe.build_method(self.model["train_counts"])
        state, expected = folder.read_tensors(weights), method.inference_state()
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in expected.items()}:
            raise LongtailError(f"{self.path / weights} does not hold the weights of {recipe.method} on {recipe.net}")
        broken = [name for name, value in state.items() if not value.isfinite().all()]
        if broken:
            raise LongtailError(f"{self.path / weights} holds numbers that are not finite, in {broken[0]}")
        method.load_state_dict(state, strict=False)
        return method.eval()
