"""What the page shows: of the model, and of one photograph."""

import threading
from dataclasses import asdict

import torch

from longtail.api import Model
from longtail.data import Split
from longtail.data.catalog import format_data_name
from longtail.data.decode import suppress_pillow_warnings
from longtail.data.eval_transform import build_eval_transform
from longtail.errors import LongtailError
from longtail.inference.calibration import NAME, Calibration, read_calibration
from longtail.inference.decisions import Decider, DecisionOptions
from longtail.inference.images import stack_images
from longtail.inference.prior import describe_prior
from longtail.tryout.neighbors import Neighbors

DIGITS = 5  # of a logit


class Answerer:
    """A model that answers one photograph at a time, calibrated where the run is; `notes` are for the terminal."""

    def __init__(self, model: Model, root: str | None = None, data: str | None = None):
        self.model, self.notes = model, list[str]()
        self.lock = threading.Lock()
        self.reading = threading.Lock()  # images are decoded one after the other, as a large one takes much memory
        self.calibration = self.find_calibration()
        recipe = model.recipe.change(data=data) if data else None

        def load() -> Split:
            with suppress_pillow_warnings():
                return model.run.load_data(root, recipe)

        self.neighbors = Neighbors(model, load, self.lock)

    def find_calibration(self) -> Calibration | None:
        """Return the calibration of the model; None without one, and with a note for one that is not intact."""
        if not self.model.run.folder.has(NAME):
            return None
        try:
            return read_calibration(self.model.run, self.model.weights)
        except LongtailError as error:
            self.notes.append(f"no prediction sets: {error}")
            return None

    def describe(self) -> dict:
        """Return what the page needs of the model: classes, log priors, and what its sets promise."""
        model, method = self.model, self.model.method
        assumed = method.assumed_log_prior()
        groups = model.run.classes.groups
        table = zip(model.classes, model.train_counts, groups, strict=True)
        found = self.calibration
        return {
            "name": model.run.folder.origin or model.run.path.resolve().name,
            "method": model.recipe.method,
            "data": format_data_name(model.recipe.data),
            "classes": [{"name": name, "images": n, "group": group} for name, n, group in table],
            "prior": describe_prior(method, None),
            "log_train": method.log_prior.cpu().tolist(),
            "log_assumed": None if assumed is None else assumed.cpu().tolist(),
            "temperature": 1.0 if found is None else found.temperature,
            "coverage": None if found is None else found.options.coverage,
            "promises": None if found is None else self.list_promises(found),
            "notes": self.notes,
        }

    def list_promises(self, found: Calibration) -> list[str]:
        """Return for each class what its sets promise, in words."""
        return [row["promise"] for row in found.thresholds.describe(self.model.run.classes, found.options)]

    def answer(self, content: bytes) -> dict:
        """Return logits (K, C), the prediction set and the nearest training images of the content of an image file.

        Raises BadImage for what is no image that can be decoded.
        """
        model = self.model
        with self.reading:
            pixels = build_eval_transform(model.transform_set).read(content, "the photograph")
        images = stack_images([pixels], model.transform_set.size)
        with self.lock:
            logits = model.logits(images)
        if not logits.isfinite().all():
            raise LongtailError("the logits of this photograph are not finite, so nothing can be said of it")
        near = self.neighbors.find(images)
        return {
            "logits": [[round(z, DIGITS) for z in expert] for expert in logits[:, 0].tolist()],
            "set": self.find_set(logits.mean(0)),
            "near": [asdict(neighbor) for neighbor in near],
            "near_note": self.neighbors.note,
        }

    def find_set(self, logits: torch.Tensor) -> list[str] | None:
        """Return the classes of the prediction set of one image, logits (1, C); None for a model without calibration."""
        if self.calibration is None:
            return None
        decider = Decider(self.calibration, DecisionOptions(sets=True), self.model.method, tuple(self.model.classes))
        return list(decider.decide(logits)[0].set or ())
