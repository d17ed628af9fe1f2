"""The command `longtail predict`."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from longtail.commands.flags import Device, Selected, Threads, parse_integer
from longtail.commands.prediction_table import show_predictions
from longtail.data.decode import BadImage
from longtail.errors import LongtailError, escape_controls, expand_path
from longtail.wording import format_count

if TYPE_CHECKING:
    from torch import Tensor

    from longtail.inference.predict import Prediction
    from longtail.inference.sorting import Sorter

MAX_SHOWN = 20  # rows of the terminal table, and unreadable images that are named
SOME_BAD = 3  # exit code if some images cannot be read


def predict(
    run: str,
    /,
    *images: str,
    out: Annotated[
        str | None, Parameter(help="new .csv or .parquet file; by default the terminal shows a table")
    ] = None,
    sort_into: Annotated[
        str | None, Parameter(help="new folder of links to the images, DIR/CLASS/IMAGE, by predicted class")
    ] = None,
    gallery: Annotated[
        str | None, Parameter(help="new .html page of small pictures, by predicted class, the least certain first")
    ] = None,
    top: Annotated[
        int, Parameter(help="number of most probable classes to give for each image", converter=parse_integer)
    ] = 5,
    target_prior: Annotated[
        str | None,
        Parameter(help="class frequencies where the images come from: uniform, train, a file (Eq. 4), or estimate"),
    ] = None,
    calibrated: Annotated[
        bool,
        Parameter(help="calibrated probabilities; this flag and the next four need longtail calibrate", negative=""),
    ] = False,
    set: Annotated[
        bool, Parameter(help="a set of classes that holds that of the image as often as was calibrated", negative="")
    ] = False,
    unknown: Annotated[
        float | None, Parameter(help="say which images look unlike every class; share of others that may be called so")
    ] = None,
    hierarchy: Annotated[
        str | None, Parameter(help="file of classes and their superclasses, CSV class,parent or JSON {class: parent}")
    ] = None,
    sure: Annotated[
        float | None,
        Parameter(help="probability of the class or superclass of --hierarchy that is given as the answer"),
    ] = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> int:
    """Predict the classes of images: files, folders, lists or tables of paths."""
    if top < 1:
        raise LongtailError(f"top is {top}; it is a number of classes, at least 1")
    if not images:
        raise LongtailError("name the images to predict: files, folders, or lists of paths (.txt, .csv, .tsv)")
    from longtail import api
    from longtail.commands.console import break_silence
    from longtail.inference.decisions import DecisionOptions
    from longtail.inference.images import decode_batches, find_images
    from longtail.inference.predict import build_predictions, predict_files
    from longtail.inference.prior import describe_prior

    options = DecisionOptions(calibrated, set, unknown, hierarchy, sure)
    model = api.load(run, selected=selected, device=device, threads=threads)
    bad: list[BadImage] = []
    skipped: list[str] = []
    outputs = Outputs.check(out, sort_into, gallery, images, model.classes)
    check_images(images, every=outputs is not None)
    paths = find_images(images, skipped)

    def iterate_logits() -> "Iterator[Tensor]":
        for _, pixels, _ in decode_batches(find_images(images, []), model.transform_set):
            yield model.logits(pixels).mean(0)

    with break_silence("estimating the class frequencies"):
        decider, used = model.build_decider(options, target_prior, iterate_logits())
    prior = describe_prior(model.method, f"estimated from {used:,} images" if used else target_prior)
    prior += ", calibrated" if decider else ""
    silence, done = break_silence("reading the images"), 0

    def predict_batch(pixels: "Tensor") -> "list[Prediction]":
        nonlocal done
        done += len(pixels)
        silence.doing = f"predicting, {done:,} images so far"
        logits = model.logits(pixels) if decider else model.adjusted_logits(pixels, target_prior)
        return build_predictions(logits, model.classes, top, decider)

    if outputs is None:
        first = list(itertools.islice(paths, MAX_SHOWN + 1))
        show_predictions(predict_files(first[:MAX_SHOWN], model.transform_set, predict_batch, bad), prior)
        if prior.endswith("(uniform)"):
            print("all classes are taken as equally frequent; --target-prior changes this")
        if len(first) > MAX_SHOWN:
            print(f"only the first {MAX_SHOWN} images are shown; --out FILE.csv or FILE.parquet takes all")
    else:
        with silence:
            predictions = predict_files(paths, model.transform_set, predict_batch, bad)
            title = f"Predictions of {model.run.path.resolve().name} ({model.recipe.method})"
            lines = outputs.write(predictions, title, prior, bad)
        print(*map(escape_controls, lines), sep="\n")
    return report_skipped(bad, skipped, "predicted")


@dataclass
class Outputs:
    """What is written of the predictions of all images: a table, links by predicted class, a page of pictures."""

    table: Path | None
    sorter: "Sorter | None"
    gallery: Path | None
    classes: list[str]

    @classmethod
    def check(
        cls, out: str | None, sort_into: str | None, gallery: str | None, images: Sequence[str], classes: list[str]
    ) -> "Outputs | None":
        """Return the outputs that the flags ask for, or None; raises LongtailError for one that cannot be written."""
        from longtail.inference.predict import check_table_path
        from longtail.inference.sorting import Sorter, check_sort_folder
        from longtail.report.gallery import check_gallery_path

        table, folder, page = (None if path is None else expand_path(path) for path in (out, sort_into, gallery))
        named = [path.resolve() for path in (table, folder, page) if path is not None]
        if len(set(named)) < len(named):
            raise LongtailError("--out, --sort-into and --gallery name the same path; choose another for each")
        if table is not None:
            check_table_path(table)
        if folder is not None:
            check_sort_folder(folder, images)
        if page is not None:
            check_gallery_path(page)
        if table is folder is page is None:
            return None
        return cls(table, Sorter(folder, classes) if folder is not None else None, page, classes)

    def write(
        self, predictions: "Iterable[tuple[str, Prediction]]", title: str, prior: str, bad: list[BadImage]
    ) -> list[str]:
        """Write the outputs and return a line on each; raises LongtailError if no image can be read."""
        from longtail.inference.predict import open_table
        from longtail.report.gallery import PredictedImage, write_gallery

        rows, shown = 0, list[PredictedImage]()
        with open_table(self.table, f"class prior: {prior}") if self.table else nullcontext() as add:
            for path, best in predictions:
                rows += 1
                if add:
                    add(best.row(path, prior))
                if self.sorter:
                    self.sorter.add(path, best.label)
                if self.gallery:
                    shown.append(PredictedImage(path, best.label, best.probabilities[0]))
            if not rows:
                raise LongtailError(f"none of the {len(bad):,} images can be read, the first {bad[0]}")
        number = format_count(rows, "image")
        lines = [f"{self.table}: {number}, class prior {prior}"] if self.table else []
        if self.sorter:
            folders = format_count(len(self.sorter.used), "folder")
            lines.append(f"{self.sorter.folder}: links to {number} in {folders}")
        if self.gallery:
            note = f"{number} by predicted class, the least certain first; class prior {prior}."
            write_gallery(self.gallery, shown, self.classes, title, note)
            lines.append(f"{self.gallery}: {number}, the least certain of each class first")
        return lines


def check_images(names: Iterable[str], every: bool) -> None:
    """Raise LongtailError for a path that is missing or holds no images, before hours of predictions are lost to it.

    `every` reads each list and folder to its end, not only to its first image.
    """
    from longtail.inference.images import find_images

    for name in names:
        found = find_images([name], [])
        for _ in found if every else itertools.islice(found, 1):
            pass


def report_skipped(bad: list[BadImage], skipped: list[str], done: str) -> int:
    """Print the images that cannot be read and the number of files that are no images; return the exit code.

    `done` says what happened to the other images.
    """
    if skipped:
        files = "1 file that is no image" if len(skipped) == 1 else f"{len(skipped):,} files that are no images"
        print(f"longtail: skipped {files}, the first {escape_controls(skipped[0])}", file=sys.stderr)
    for error in bad[:MAX_SHOWN]:
        print(f"longtail: not read: {escape_controls(error)}", file=sys.stderr)
    if bad:
        more = f" ({len(bad) - MAX_SHOWN:,} are not named here)" if len(bad) > MAX_SHOWN else ""
        images = "1 image was" if len(bad) == 1 else f"{len(bad):,} images were"
        print(f"longtail: {images} left out{more}; all others were {done}", file=sys.stderr)
    return SOME_BAD if bad else 0
