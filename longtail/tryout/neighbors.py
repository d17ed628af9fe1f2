"""The training images that are nearest to a photograph, by the features of the model; they are read in the background."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from longtail.api import Model
from longtail.data import FeatureSet, LazyImages, Split, TensorImages
from longtail.data.catalog import hide_folders
from longtail.data.decode import BadImage
from longtail.errors import LongtailError
from longtail.evaluate import compute_features
from longtail.features import find_cached_features
from longtail.report.photographs import LARGEST, encode_photograph

MOST = 20_000  # training images that are compared; of more, each class gives its first ones
FILES_AT_ONCE, ROWS_AT_ONCE = 32, 1024  # images in files, and in memory, between which a photograph is answered
SHOWN = 6


@dataclass(frozen=True)
class Neighbor:
    """A training image near a photograph: its data URI, its name, its class, and the cosine of the features."""

    uri: str
    name: str
    label: str
    cosine: float


class Neighbors:
    """The features of the training images, computed in a thread of their own; `note` says how far it is, or why not.

    `lock` is held while the model computes: folding its batch norm traces it, which no second thread may disturb.
    """

    def __init__(self, model: Model, load: Callable[[], Split], lock: threading.Lock):
        self.model, self.load, self.lock = model, load, lock
        self.images: TensorImages | LazyImages | None = None
        self.features: Tensor | None = None  # (K, N, d), each of length 1
        self.note = "The training images are being read."
        self.is_stopped = False
        self.thread = threading.Thread(target=self.prepare, daemon=True)

    def start(self) -> None:
        """Begin to read the training images."""
        self.thread.start()

    def stop(self) -> bool:
        """Stop reading and wait a little for the batch at hand; return whether it is done."""
        self.is_stopped = True
        if self.thread.ident is not None:  # it was started
            self.thread.join(timeout=2)
        return not self.thread.is_alive()

    def prepare(self) -> None:
        """Load the training images and compute their features; a failure becomes the note."""
        try:
            images = self.load_images()
            self.features = self.compute(images)
        except LongtailError as error:
            reason = hide_folders(str(error), self.model.recipe.data)
            self.note = f"No training images can be shown: {reason}"
        except Exception as error:  # whatever it is, the page answers without neighbors
            self.note = f"No training images can be shown ({type(error).__name__}: {error})."

    def load_images(self) -> TensorImages | LazyImages:
        """Return the training images of the run; raises LongtailError if they are not those of training."""
        run, split = self.model.run, self.load()
        run.folder.check_images(split, "train")
        images = split.image_subsets["train"]
        kept = choose_rows(images.labels.numpy(), MOST)
        self.images = images if len(kept) == len(images) else images.take(kept)
        return self.images

    def compute(self, images: TensorImages | LazyImages) -> Tensor | None:
        """Compute the features of the training images, (K, N, d), some at a time; None if the server ends."""
        cached, is_held, found = None, np.zeros(len(images), dtype=bool), []
        if isinstance(images, LazyImages):
            images = replace(images, workers=0)  # processes of their own would be started from a thread
            if self.model.recipe.frozen:
                cached, is_held = find_cached_features(self.model.run, images)
        step = FILES_AT_ONCE if isinstance(images, LazyImages) and not is_held.all() else ROWS_AT_ONCE
        for start in range(0, len(images), step):
            if self.is_stopped:
                return None
            rows = range(start, min(start + step, len(images)))
            subset = cached.take(rows) if cached is not None and is_held[rows].all() else images.take(rows)
            found.append(self.embed(subset).half())
            self.note = f"{rows.stop:,} of {len(images):,} training images are read."
        total = self.model.run.split["train_images"]
        self.note = f"{len(images):,} of {total:,} training images are compared." if len(images) < total else ""
        return torch.cat(found, dim=1)

    def embed(self, images: Tensor | TensorImages | LazyImages | FeatureSet) -> Tensor:
        """Compute features of length 1, (K, N, d), while nobody else computes."""
        model = self.model
        with self.lock, model.world.session(tf32=model.recipe.precision == "tf32"):
            return normalize(compute_features(model.method, images, model.transform_set), dim=-1)

    def find(self, pixels: Tensor) -> list[Neighbor]:
        """Return the training images nearest to one image (1, 3, S, S), the mean cosine over experts first."""
        if self.features is None or self.images is None:
            return []
        cosines = torch.einsum("knd,kd->n", self.features.float(), self.embed(pixels)[:, 0]) / len(self.features)
        best = cosines.topk(min(SHOWN, len(cosines)))
        return [self.show(row, cosine) for row, cosine in zip(best.indices.tolist(), best.values.tolist(), strict=True)]

    def show(self, row: int, cosine: float) -> Neighbor:
        """Return a training image as the page shows it; one that can no longer be read has no picture."""
        images = self.images
        assert images is not None
        try:
            if isinstance(images, TensorImages):
                picture = Image.fromarray(np.ascontiguousarray(images.images[row].permute(1, 2, 0).numpy()))
            else:
                picture = images.read(row, LARGEST)
            uri = encode_photograph(picture)
        except BadImage:
            uri = ""
        name = f"image {row}" if images.index is None else images.index.short_name(row)
        return Neighbor(uri, name, self.model.classes[int(images.labels[row])], cosine)


def choose_rows(labels: np.ndarray, most: int) -> np.ndarray:
    """Return at most about `most` positions in order, the first ones of each class; all if there are no more."""
    if len(labels) <= most:
        return np.arange(len(labels))
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(labels)) - starts  # the place of each image within its class
    quota = next(q for q in range(most, 0, -1) if q == 1 or np.minimum(np.bincount(labels), q).sum() <= most)
    return np.flatnonzero(rank < quota)
