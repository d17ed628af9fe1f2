"""The one reader of finished runs: everything a run keeps, read when first asked for and checked on the way."""

import logging
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch

from longtail.augment import TransformSet, get_transform_set
from longtail.data import ClassTable, Split
from longtail.errors import LongtailError, escape_controls
from longtail.methods import Method
from longtail.nets import FrozenEncoder, FrozenNet, find_weights
from longtail.recipe import Recipe
from longtail.runs.checks import check_model, check_results, check_rows, check_split
from longtail.runs.files import read_tensors
from longtail.runs.folder import MANIFEST, RunFolder
from longtail.runs.results import ENCODER_WEIGHTS, LAST_WEIGHTS


@cache  # one line for each run
def note_missing_manifest(path: Path) -> None:
    """Log that the files of a run cannot be compared with their hashes."""
    logging.getLogger("longtail").warning(
        "%s has no %s (runs of version 0.1 had none): its files are read, but damage to them may go unnoticed",
        *(escape_controls(path), MANIFEST),
    )


@dataclass(eq=False)
class FinishedRun:
    """A run that was trained to the end. Every attribute raises LongtailError that names a missing or damaged file."""

    folder: RunFolder

    @classmethod
    def open(cls, path: str | Path) -> "FinishedRun":
        """Open a finished run; raises LongtailError if the folder holds no run or an unfinished one."""
        folder = RunFolder.open(path)
        if not folder.is_finished():
            raise LongtailError(
                f"{folder.path} is not finished, so there is no model and nothing to report yet; "
                "the same train command with --resume goes on"
            )
        if not folder.has(MANIFEST):
            note_missing_manifest(folder.path)
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
    def transform_set(self) -> TransformSet:
        """Return the transform set of training, with mean and deviation as kept: pretrained weights may be gone."""
        kept = self.model.get("transform")
        if not kept:
            return self.recipe.transform_set
        found = replace(get_transform_set(self.recipe.views), fit=self.recipe.fit)
        return replace(found, mean=tuple(kept["mean"]), std=tuple(kept["std"]))

    @cached_property
    def results(self) -> dict:
        """Return the contents of `results.json`."""
        results = self.folder.read_json("results.json")
        with self.folder.report_damage("results.json"):
            check_results(results, self.recipe)
        return results

    @cached_property
    def model(self) -> dict:
        """Return the contents of `model.json`: classes, training counts, transform, options."""
        model = self.folder.read_json("model.json")
        with self.folder.report_damage("model.json"):
            check_model(model, self.recipe, self.split)
        return model

    @cached_property
    def split(self) -> dict:
        """Return the contents of `split.json`: class table, sizes and hashes of the subsets."""
        split = self.folder.read_json("split.json")
        with self.folder.report_damage("split.json"):
            check_split(split)
        return split

    @cached_property
    def environment(self) -> dict:
        """Return the contents of `environment.json`: machine and versions."""
        environment = self.folder.read_json("environment.json")
        with self.folder.report_damage("environment.json"):
            if not isinstance(environment["root"], str | None):
                raise ValueError("root is no path")
        return environment

    @cached_property
    def classes(self) -> ClassTable:
        """Return the class table of training."""
        return ClassTable(tuple(self.model["classes"]), tuple(self.model["train_counts"]))

    @cached_property
    def metrics(self) -> list[dict]:
        """Return the rows of `metrics.csv`: numbers, None for an empty cell, and the stage's name."""
        rows = self.folder.read_csv("metrics.csv")
        with self.folder.report_damage("metrics.csv"):
            numbers = [
                {key: cell if key == "stage" else float(cell) if cell else None for key, cell in row.items()}
                for row in rows
            ]
            check_rows(numbers)
        return numbers

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
        """Return the columns label, predicted, confidence and index of `predictions.parquet`, (N,) each.

        Runs that name their test images have the column path too.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder.verify("predictions.parquet")
        with self.folder.report_damage("predictions.parquet"):
            path, images = self.path / "predictions.parquet", self.split["test_images"]
            try:
                if (rows := pq.read_metadata(path).num_rows) != images:  # a claim of many rows would fill the memory
                    raise ValueError(f"{rows} rows for {images} test images")
                table = pq.read_table(path)
            except (OSError, pa.ArrowException) as error:
                raise ValueError(error) from error
            columns = {name: table[name].to_numpy() for name in ("label", "predicted", "confidence", "index")}
            if "path" in table.column_names:
                columns["path"] = table["path"].cast(pa.string()).fill_null("").to_numpy()
            labels = np.concatenate([columns["label"], columns["predicted"]])
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
                raise ValueError(f"labels outside the {len(self.classes)} classes")
        return columns

    def load_data(self, root: str | None = None, recipe: Recipe | None = None) -> Split:
        """Load the images the run was trained and tested on, from where training found them or from `root`.

        `recipe` replaces the run's own where the data were moved. Data of the hub are read at the commit of training, unless
        the recipe names another revision. Raises LongtailError if the test images differ.
        """
        commits = self.split.get("commits")
        split = (recipe or self.recipe).load_split(root or self.environment.get("root"), commits=commits)
        self.folder.check_images(split, "test")
        return split

    def load_method(self, weights: str = LAST_WEIGHTS) -> Method:
        """Return the trained method in evaluation mode, at the precision it was trained in.

        Raises LongtailError if the weights are missing, do not fit the recipe, or are not finite.
        """
        folder, path = self.folder, self.path / weights
        if weights != LAST_WEIGHTS and not folder.has(weights):
            raise LongtailError(
                f"{self.path} has no {weights}: an epoch is selected by --select, which this run was not asked for"
            )
        # all is compared before a network is built, which for wrong classes could fill the memory
        digest, kept = folder.verify(weights), self.model.get("weights_sha256")
        with folder.report_damage("model.json"):
            if kept is not None and kept[weights] != digest:
                raise LongtailError(f"{path} does not have the sha256 that model.json holds; restore it from a copy")
        state = read_tensors(path)
        if sum(value.numel() for value in state.values()) < len(self.classes):
            raise LongtailError(f"{path} holds too few weights for the {len(self.classes)} classes of model.json")
        # the trained weights replace those that training began with; a frozen encoder has its own
        recipe, start = self.recipe, self.recipe.weights if self.recipe.frozen else "none"
        with folder.report_damage("model.json"), torch.random.fork_rng(devices=[]):
            method = recipe.build_method(self.model["train_counts"], start)
        expected = method.inference_state()
        if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in expected.items()}:
            raise LongtailError(f"{path} does not hold the weights of {recipe.method} on {recipe.net}")
        broken = [name for name, value in state.items() if not value.isfinite().all()]
        if broken:
            raise LongtailError(f"{path} holds numbers that are not finite, in {broken[0]}")
        method.load_state_dict(state, strict=False)
        if recipe.frozen:
            method.trunk = self.load_trunk()
        return method.eval()

    def load_trunk(self) -> FrozenEncoder:
        """Load the frozen encoder that the run keeps or, of a slim run, find its weights again.

        Raises LongtailError if the weights found are not those of training.
        """
        net = self.recipe.build_net()
        assert isinstance(net, FrozenNet)
        if not self.folder.has(ENCODER_WEIGHTS):
            return self._find_trunk(net)
        trunk = replace(net, weights=None).build_trunk()
        state = self.folder.read_tensors(ENCODER_WEIGHTS)
        with self.folder.report_damage(ENCODER_WEIGHTS):
            trunk.load_state_dict(state)
        return trunk

    def _find_trunk(self, net: FrozenNet) -> FrozenEncoder:
        """Build the frozen encoder of a slim run from the weights' source."""
        with self.folder.report_damage("environment.json"):
            expected = self.environment["weights"]
        try:
            weights = find_weights(net.name, str(net.weights))
        except LongtailError as error:
            raise LongtailError(
                f"{self.path} is slim and keeps no encoder; it needs {expected['source']} again: {error}"
            ) from error
        if weights.sha256 != expected["sha256"]:
            raise LongtailError(
                f"{self.path} is slim and keeps no encoder, and {weights.source} is not the one it was trained with "
                f"(sha256 {weights.sha256[:8]}..., not {expected['sha256'][:8]}...)"
            )
        return net.build_trunk()
