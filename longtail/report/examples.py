"""The most frequent confusions as a page shows them: names, counts, and images small enough to be part of it."""

import base64
import io
from dataclasses import dataclass

import numpy as np

from longtail.data import Split
from longtail.evaluate import read_pixels
from longtail.report.confusions import PAIRS, Pair
from longtail.report.summary import RunSummary

CRISP, LARGEST = 64, 96  # pixels: up to here an image is kept as it is; a larger one is shrunk to that


@dataclass(frozen=True)
class Example:
    """A wrongly classified image as a data URI, its position among the test images, the confidence of the wrong class."""

    uri: str
    index: int
    confidence: float


@dataclass(frozen=True)
class Confusion:
    """A pair of classes by name, with their training counts, how often, and examples."""

    truth: str
    predicted: str
    truth_images: int
    predicted_images: int
    images: int
    of: int
    rate: float
    examples: list[Example]


@dataclass(frozen=True)
class Confusions:
    """The first pairs, a note on how to read them, and whether the images' pixels are shown as squares."""

    pairs: list[Confusion]
    note: str
    crisp: bool


def build_confusions(summary: RunSummary, pairs: list[Pair], split: Split | None, why: str) -> Confusions:
    """The most frequent pairs with the images that were most surely wrong, where the images are at hand."""

    def example(index: int, confidence: float) -> Example:
        (image,) = read_pixels(split.test, [index], summary.recipe.transform_set)
        return Example(encode_data_uri(image.numpy()), index, confidence)

    classes, shown = summary.classes, pairs[:PAIRS]
    found = [
        Confusion(
            *(classes.names[c] for c in (p.truth, p.predicted)),
            *(classes.counts[c] for c in (p.truth, p.predicted)),
            *(p.images, p.of, p.rate),
            [example(*surest) for surest in p.surest] if split else [],
        )
        for p in shown
    ]
    note = (
        f"The first {len(shown)} of {len(pairs):,} pairs of classes that occur, by number of images; the percentage is "
        "the share of the true class."
    )
    if len(summary.seeds) > 1:
        note += f" Counts add up all {len(summary.seeds)} seeds."
    note += " Under an image: the confidence in the wrong class, the surest first." if split else f" No images: {why}"
    return Confusions(found, note, summary.recipe.transform_set.size <= CRISP)


def encode_data_uri(pixels: np.ndarray) -> str:
    """(3, H, W) uint8 -> a small PNG or, for a larger image, a JPEG that fits 96 x 96 pixels, as a data URI."""
    from PIL import Image

    image, kind = Image.fromarray(np.moveaxis(pixels, 0, -1)), "png"
    if max(image.size) > CRISP:
        image.thumbnail((LARGEST, LARGEST))
        kind = "jpeg"
    content = io.BytesIO()
    image.save(content, kind, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
