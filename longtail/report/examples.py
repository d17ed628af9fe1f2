"""The most frequent confusions as a page shows them: names, counts, and small embedded images."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from longtail.augment import get_transform_set
from longtail.data import LazyImages, Split
from longtail.data.split import list_names
from longtail.evaluate import read_inputs
from longtail.report.confusions import PAIRS, Pair, WrongPrediction
from longtail.report.photographs import CRISP, encode_photograph
from longtail.report.summary import RunSummary


@dataclass(frozen=True)
class Example:
    """A misclassified image: its data URI, "" without the images, its name, its classes, the confidence in the wrong one."""

    uri: str
    name: str
    truth: str
    predicted: str
    confidence: float

    @property
    def file(self) -> str:
        """Return the last component of the name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Confusion:
    """A pair of classes by name with training counts, the number and rate of confused images, and examples."""

    truth: str
    predicted: str
    truth_images: int
    predicted_images: int
    images: int
    tested: int
    rate: float
    examples: list[Example]


@dataclass(frozen=True)
class Confusions:
    """The worst errors and the most frequent pairs, a note for the reader, and whether pixels are shown as squares."""

    worst: list[Example]
    pairs: list[Confusion]
    note: str
    crisp: bool


def build_confusions(
    summary: RunSummary, pairs: list[Pair], worst: list[WrongPrediction], split: Split | None, reason: str
) -> Confusions:
    """Build the worst errors and the most frequent pairs with images; without a split, the note gives the reason."""
    classes, shown, read = summary.classes, pairs[:PAIRS], build_reader(summary, split)
    confusions = [
        Confusion(
            truth=classes.names[p.truth],
            predicted=classes.names[p.predicted],
            truth_images=classes.counts[p.truth],
            predicted_images=classes.counts[p.predicted],
            images=p.images,
            tested=p.tested,
            rate=p.rate,
            examples=[read(WrongPrediction(p.truth, p.predicted, *example)) for example in p.examples] if split else [],
        )
        for p in shown
    ]
    note = (
        f"The {len(shown)} most frequent of {len(pairs):,} confused pairs. The percentage is the share of the true class's "
        "test images."
    )
    if len(summary.seeds) > 1:
        note += f" Counts are sums over {len(summary.seeds)} seeds."
    confidences = (
        " The number under an image is the confidence in the wrong class; the most confident images come first."
    )
    note += confidences if split else f" No images: {reason}"
    crisp = get_transform_set(summary.recipe.views).size <= CRISP
    return Confusions([read(wrong) for wrong in worst], confusions, note, crisp)


def build_reader(summary: RunSummary, split: Split | None) -> Callable[[WrongPrediction], Example]:
    """Return a function that reads the image of a wrong prediction and names image and classes."""
    recipe = summary.recipe
    classes, transform_set = summary.classes.names, replace(get_transform_set(recipe.views), fit=recipe.fit)
    names = find_names(summary, split)
    images = split.test if split else None
    if isinstance(images, LazyImages):
        images = replace(images, workers=0)  # processes for one image at a time take longer than the image

    def read(wrong: WrongPrediction) -> Example:
        uri = ""
        if images is not None:
            (image,) = read_inputs(images, [wrong.index], transform_set)
            uri = encode_data_uri(image.numpy())
        name = names.get(wrong.index, f"image {wrong.index}")
        return Example(uri, name, classes[wrong.truth], classes[wrong.predicted], wrong.confidence)

    return read


def find_names(summary: RunSummary, split: Split | None) -> dict[int, str]:
    """Return the names of the test images by position, as the run keeps them or, of an older run, as the split has them."""
    kept = summary.first.predictions
    if "path" in kept:
        return dict(zip(kept["index"].tolist(), kept["path"].tolist(), strict=True))
    return dict(enumerate(list_names(split.test))) if split else {}


def encode_data_uri(pixels: np.ndarray) -> str:
    """Encode (3, H, W) uint8 as a data URI."""
    from PIL import Image

    return encode_photograph(Image.fromarray(np.moveaxis(pixels, 0, -1)))
