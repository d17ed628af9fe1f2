"""The most frequent confusions as a page shows them: names, counts, and small embedded images."""

import base64
import io
from dataclasses import dataclass

import numpy as np

from longtail.augment import TransformSet, get_transform_set
from longtail.data import Split
from longtail.evaluate import read_pixels
from longtail.report.confusions import PAIRS, Pair
from longtail.report.summary import RunSummary

CRISP, LARGEST = 64, 96  # pixels: images up to CRISP are kept, larger images shrink to LARGEST


@dataclass(frozen=True)
class Example:
    """A misclassified image as a data URI, its position among the test images, the confidence in the wrong class."""

    uri: str
    index: int
    confidence: float


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
    """The most frequent pairs, a note for the reader, and whether pixels are shown as squares."""

    pairs: list[Confusion]
    note: str
    crisp: bool


def build_confusions(summary: RunSummary, pairs: list[Pair], split: Split | None, reason: str) -> Confusions:
    """Build the most frequent pairs with example images; without a split, the note gives the reason."""

    classes, shown = summary.classes, pairs[:PAIRS]
    confusions = [
        Confusion(
            truth=classes.names[p.truth],
            predicted=classes.names[p.predicted],
            truth_images=classes.counts[p.truth],
            predicted_images=classes.counts[p.predicted],
            images=p.images,
            tested=p.tested,
            rate=p.rate,
            examples=read_examples(p, split, get_transform_set(summary.recipe.views)) if split else [],
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
    return Confusions(confusions, note, get_transform_set(summary.recipe.views).size <= CRISP)


def read_examples(pair: Pair, split: Split, transform_set: TransformSet) -> list[Example]:
    """Read the example images of a pair."""
    examples = []
    for index, confidence in pair.examples:
        (image,) = read_pixels(split.test, [index], transform_set)
        examples.append(Example(encode_data_uri(image.numpy()), index, confidence))
    return examples


def encode_data_uri(pixels: np.ndarray) -> str:
    """Encode (3, H, W) uint8 as the data URI of a PNG, or of a JPEG shrunk to 96 pixels if a side is over 64."""
    from PIL import Image

    image, kind = Image.fromarray(np.moveaxis(pixels, 0, -1)), "png"
    if max(image.size) > CRISP:
        image.thumbnail((LARGEST, LARGEST))
        kind = "jpeg"
    content = io.BytesIO()
    image.save(content, kind, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
