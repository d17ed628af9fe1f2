"""The Python interface: train a run, load it, use it."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from longtail.console import Silent, reporter
from longtail.data import name_of
from longtail.errors import LongtailError
from longtail.evaluate import LAST, Predictions, load_method, logits_of, predict
from longtail.export import export
from longtail.inputs import as_images
from longtail.predict import Prediction, predictions_of
from longtail.prior import log_prior_of, moved
from longtail.recipes import recipe_for
from longtail.report import write_report
from longtail.runs import RunFolder
from longtail.selection import SELECTED
from longtail.train import train as train_run
from longtail.world import World, rank, start


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

        report = reporter(Console())
    else:
        report = Silent()
    where = {"root": root, "resume": resume, "device": device, "threads": threads, "workers": workers}
    run = train_run(resolved, out or default_out(resolved), report, **where)
    keep_report(run.path, report.note)
    return load(run.path, device=device, threads=threads)


def keep_report(path: Path, note: Callable[[str], None]) -> None:
    """Write the report of a run that was just trained; a failure costs one line, never the run."""
    if rank():
        return  # of several processes only the first writes
    try:
        write_report([path])
    except Exception as error:  # whatever it is, the training is done and kept
        why = " ".join(str(error).split()) or type(error).__name__
        note(f"no report was written: {why}. The run is complete; longtail report {path} tries again")


def default_out(recipe) -> Path:
    """Where a run goes if nobody says: runs/DATA-METHOD-gGAMMA-seedN, without -gGAMMA for data as they are."""
    tail = "" if recipe.imbalance is None else f"-g{recipe.imbalance:g}"
    return Path("runs") / f"{name_of(recipe.data)}-{recipe.method}{tail}-seed{recipe.seed}"


def load(run: str | Path, *, selected: bool = False, device: str = "auto", threads: int | None = None) -> "Model":
    """The model of a finished run, or that of the epoch that validation selected; raises LongtailError if there is none."""
    return Model(RunFolder.open(run), start(device, threads), SELECTED if selected else LAST)


class Model:
    """A trained model: its classes, their training counts, its results, and logits for images."""

    def __init__(self, run: RunFolder, world: World, weights: str = LAST):
        self.recipe, self.method = load_method(run, weights)
        self.method.to(world.device)
        with run.as_written("model.json"):
            described = run.read_json("model.json")
            self.classes, self.train_counts = described["classes"], described["train_counts"]
            self.size = tuple(described["transform"]["size"])
        self.path, self.views, self.run, self.weights = run.path, self.recipe.family, run, weights

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
        return logits_of(self.method, images, self.views)

    def evaluate(self, split) -> Predictions:
        """Predictions for the test part of a split, with and without mirror images."""
        return predict(self.method, split.test, self.views)

    def predict(
        self, images: object, *, top: int = 5, target_prior: str | Path | None = None
    ) -> Prediction | list[Prediction]:
        """The most probable classes of an image, or of each of several, which may have any size.

        An image is a path, a PIL image, a uint8 array (H, W, 3) or tensor (3, H, W); several are a list, or one array or
        tensor with a further axis in front. `target_prior` is as for `log_prior_of`. Raises LongtailError for bad input.
        """
        found = predictions_of(self.adjusted(as_images(images, self.views), target_prior), self.classes, top)
        several = isinstance(images, list | tuple) or len(getattr(images, "shape", ())) == 4
        return found if several else found[0]

    def adjusted(self, images: Tensor, target_prior: str | Path | None = None) -> Tensor:
        """As `logits`, under a class prior other than that of training (ECL, Eq. 4); None leaves them as trained."""
        target = None if target_prior is None else log_prior_of(str(target_prior), self.classes, self.train_counts)
        return moved(self.logits(images), self.method, target)

    def export(self, kind: str, expert: int | None = None, out: str | Path | None = None) -> tuple[Path, float]:
        """Write "onnx" or "safetensors" for use elsewhere; see `longtail.export.export`."""
        return export(self.run, self.method, kind, expert, out, selected=self.weights == SELECTED)
