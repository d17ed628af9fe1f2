"""A page of predicted images: by predicted class, the least certain first, with small pictures and file names."""

import os
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from longtail.data.catalog import make_printable
from longtail.data.decode import BadImage, read_image, suppress_pillow_warnings
from longtail.errors import LongtailError, check_parent_folder
from longtail.report.photographs import LARGEST, Photograph, encode_photograph
from longtail.runs.files import write_text

MAX_PICTURES = 1000  # about 4 MB
KINDS = (".html", ".htm")


@dataclass(frozen=True)
class PredictedImage:
    """The path of an image, its predicted class, and the probability of the class."""

    path: str
    label: str
    probability: float


@dataclass(frozen=True)
class PredictedClass:
    """A class with the number of images predicted as it, and the least certain of these with their probabilities."""

    name: str
    images: int
    shown: list[tuple[Photograph, float]]


def check_gallery_path(path: Path) -> None:
    """Raise LongtailError if the file exists, is no page, or cannot be written."""
    if path.suffix.lower() not in KINDS:
        raise LongtailError(f"{path} must end in .html")
    if os.path.lexists(path):
        raise LongtailError(f"{path} exists already and is left as it is; choose another --gallery")
    check_parent_folder(path, "--gallery")


def write_gallery(
    target: Path, images: Sequence[PredictedImage], classes: Sequence[str], title: str, note: str
) -> None:
    """Write the page of predicted images, classes in the order of `classes`."""
    by_class: dict[str, list[PredictedImage]] = {}
    for image in sorted(images, key=lambda image: image.probability):
        by_class.setdefault(image.label, []).append(image)
    most = fit_quota([len(members) for members in by_class.values()], MAX_PICTURES)
    folder = find_common_folder([image.path for image in images])

    def read(image: PredictedImage) -> tuple[Photograph, float]:
        name = make_printable(os.path.relpath(image.path, folder))
        try:
            uri = encode_photograph(read_image(image.path, image.path, LARGEST))
        except BadImage:  # it was there a moment ago
            uri = ""
        return Photograph(uri, name), image.probability

    with suppress_pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        kinds = [
            PredictedClass(name, len(by_class[name]), list(pool.map(read, by_class[name][:most])))
            for name in classes
            if name in by_class
        ]
    write_text(target, render_gallery(kinds, title, note))


def fit_quota(sizes: Sequence[int], total: int) -> int:
    """Return the largest number of images of a class, at least 1, with which all classes show at most `total`."""
    quotas = range(1, max(sizes) + 1)
    return max(bisect_right(quotas, total, key=lambda quota: sum(min(size, quota) for size in sizes)), 1)


def find_common_folder(paths: Sequence[str]) -> str:
    """Return the deepest folder that holds all files."""
    return os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])


def render_gallery(kinds: Sequence[PredictedClass], title: str, note: str) -> str:
    """Render the page; every text is escaped, and the content security policy allows one style and embedded images."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from longtail import __version__
    from longtail.report.photographs import break_name
    from longtail.report.styles import hash_source, read_plain_style

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"name": break_name}
    style = read_plain_style()
    words = {"style": Markup(style), "source": Markup(hash_source(style)), "version": __version__}
    return environment.get_template("gallery.html").render(words, kinds=kinds, title=title, note=note)
