"""The Python interface: train a run, load it, use it."""

from pathlib import Path

import torch
from torch import Tensor

from longtail.console import ConsoleReport, Silent
from longtail.data import name_of
from longtail.errors import LongtailError
from longtail.evaluate import Predictions, load_method, logits_of, predict
from longtail.recipes import recipe_for
from longtail.runs import RunFolder
from longtail.train import train as train_run


def train(
    data: str,
    method: str = "ecl",
    *,
    out: str | Path | None = None,
    recipe: str | None = None,
    root: str | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    verbose: bool = False,
    **changes: object,
) -> "Model":
    """Train a method on a data set, by name or path, into the run folder `out`, and return the trained model.

    `changes` are fields of the recipe, options of the method, and `size`, the side of own images.
    Raises LongtailError for bad input or an existing folder.
    """
    resolved = recipe_for(data, recipe, method=method, **changes)
    if verbose:
        from rich.console import Console

        report = ConsoleReport(Console())
    else:
        report = Silent()
    where = {"root": root, "resume": resume, "device": device, "threads": threads, "workers": workers}
    return load(train_run(resolved, out or default_out(resolved), report, **where).path)


def default_out(recipe) -> Path:
    """Where a run goes if nobody says: runs/DATA-METHOD-gGAMMA-seedN, without -gGAMMA for data as they are."""
    tail = "" if recipe.imbalance is None else f"-g{recipe.imbalance:g}"
    return Path("runs") / f"{name_of(recipe.data)}-{recipe.method}{tail}-seed{recipe.seed}"


def load(run: str | Path) -> "Model":
    """The model of a finished run; raises LongtailError if the folder holds none."""
    return Model(RunFolder.open(run))


class Model:
    """A trained model: its classes, their training counts, its results, and logits for images."""

    def __init__(self, run: RunFolder):
        self.recipe, self.method = load_method(run)
        with run.as_written("model.json"):
            described = run.read_json("model.json")
            self.classes, self.train_counts = described["classes"], described["train_counts"]
            self.size = tuple(described["transform"]["size"])
        self.path, self.views, self.run = run.path, self.recipe.family, run

    def __repr__(self) -> str:
        return f"<{self.recipe.method} on {self.recipe.data}, {len(self.classes)} classes, from {self.path}>"

    @property
    def results(self) -> dict:
        """The contents of `results.json`."""
        return self.run.read_json("results.json")

    def logits(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 RGB of the training size -> (K, N, C) float32; the ensemble is the mean over K.

        Raises LongtailError for another type or shape.
        """
        if (
            images.dtype != torch.uint8
            or images.dim() != 4
            or images.shape[1] != 3
            or tuple(images.shape[2:]) != self.size
        ):
            raise LongtailError(
                f"images are {images.dtype} {tuple(images.shape)}; expected torch.uint8 (N, 3, {self.size[0]}, {self.size[1]})"
            )
        return logits_of(self.method, images, self.views)

    def evaluate(self, split) -> Predictions:
        """Predictions for the test part of a split, with and without mirror images."""
        return predict(self.method, split.test, self.views)
