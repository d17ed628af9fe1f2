"""What `longtail suspects` writes: a table of all training images, the least probable label first, and a page of these."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from longtail.data import LazyImages, Split, TensorImages
from longtail.data.split import list_names
from longtail.inspection.near_page import to_image
from longtail.inspection.photo_page import Card, Tally, read_photographs, render_photo_page
from longtail.inspection.suspects import FOLDS, Judgment
from longtail.report.photographs import LARGEST
from longtail.runs.files import write_csv, write_text
from longtail.runs.finished import FinishedRun

MIN_CARDS, MAX_CARDS = 100, 500  # photographs on the page: those of probable faults, within these bounds
OWN_FEATURES = (
    "The features come from the network of the run, which learned these labels: a wrong label that the network knows by heart "
    "looks right, so that fewer faults are found than on frozen features."
)
FROZEN_FEATURES = "The features come from a frozen encoder, which knows nothing of the labels."


def describe_features(run: FinishedRun) -> str:
    """Return where the features come from, and what this means for the scores."""
    return FROZEN_FEATURES if run.recipe.frozen else OWN_FEATURES


def order_images(judgment: Judgment) -> list[int]:
    """Return the positions of all images, those with the least probable label first, images that are not judged last."""
    return np.argsort(np.where(judgment.is_judged, judgment.credibility, np.inf), kind="stable").tolist()


def build_rows(judgment: Judgment, split: Split) -> list[dict]:
    """Return a row for each training image, the least probable label first; an image that is not judged has empty cells."""
    names, classes, faults = list_names(split.train), split.classes, judgment.find_faults()
    suggested = judgment.suggested
    rows = []
    for rank, i in enumerate(order_images(judgment), 1):
        label, other = int(judgment.labels[i]), int(suggested[i])
        row = {
            "rank": rank,
            "path": names[i],
            "label": classes.names[label],
            "suggested": classes.names[other],
            "label_probability": round(float(judgment.probabilities[i, label]), 4),
            "suggested_probability": round(float(judgment.probabilities[i, other]), 4),
            "probable_fault": "yes" if faults[i] else "no",
            "group": classes.groups[label],
            "train_images": classes.counts[label],
        }
        if not judgment.is_judged[i]:
            empty = ("suggested", "label_probability", "suggested_probability", "probable_fault")
            row |= dict.fromkeys(empty)
        rows.append(row)
    return rows


def read_image(images: TensorImages | LazyImages, i: int) -> Image.Image:
    """Read a training image as a small picture."""
    return images.read(i, LARGEST) if isinstance(images, LazyImages) else to_image(images.images[i])


def write_suspects(table: Path, page: Path, judgment: Judgment, split: Split, run: FinishedRun) -> None:
    """Write the table and the page."""
    rows, order, faults = build_rows(judgment, split), order_images(judgment), judgment.find_faults()
    write_csv(table, rows)
    judged = int(judgment.is_judged.sum())
    number = min(max(MIN_CARDS, int(faults.sum())), MAX_CARDS, judged)
    images = split.train
    assert isinstance(images, TensorImages | LazyImages)
    photos = read_photographs(
        [partial(read_image, images, i) for i in order[:number]], [row["path"] for row in rows[:number]]
    )
    cards = [
        Card(
            photo,
            row["label"],
            (
                f"{100 * row['label_probability']:.0f} %",
                f"{row['suggested']}? {100 * row['suggested_probability']:.0f} %" if faults[i] else "probably right",
            ),
        )
        for photo, row, i in zip(photos, rows[:number], order, strict=False)
    ]
    found = np.bincount(judgment.labels[faults], minlength=len(split.classes))
    lines = [
        (split.classes.names[c], split.classes.groups[c], (split.classes.counts[c], int(found[c])))
        for c in np.lexsort((np.array(split.classes.counts), -found)).tolist()
        if found[c]
    ]
    name = run.path.resolve().name
    overview = [
        ("run", f"{name} ({run.recipe.method})"),
        ("training images", f"{len(rows):,}, {judged:,} of them judged by heads that never saw them ({FOLDS} folds)"),
        ("probable label faults", f"{int(faults.sum()):,}"),
    ]
    notes = [
        "Each probability is under a uniform class prior, so that a rare class is not suspected for being rare. A label is "
        f"probably wrong if it is less probable than a guess among {len(split.classes)} classes. Look at the photographs before "
        "you change a label.",
        describe_features(run),
    ]
    tally = Tally("Probable faults by class", ("label", "training images", "probable faults"), lines)
    content = render_photo_page(f"Suspected labels: {name}", overview, notes, tally, "Suspected labels", cards, judged)
    write_text(page, content)
