"""What `longtail label` writes: a table of the chosen images, the first of most worth, and the same as a page."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from longtail.data.catalog import make_printable
from longtail.data.decode import read_image
from longtail.inspection.labeling import Pool, compute_margins, compute_rarity
from longtail.inspection.photo_page import MAX_CARDS, Card, Tally, read_photographs, render_photo_page
from longtail.report.gallery import find_common_folder
from longtail.report.photographs import LARGEST
from longtail.runs.files import write_csv, write_text
from longtail.runs.finished import FinishedRun


@dataclass(frozen=True)
class Choice:
    """The images that are chosen from a pool, with the scores (N,) of all of its images and its size before any was left out."""

    pool: Pool
    scores: Tensor
    chosen: np.ndarray
    pool_size: int

    def order(self) -> list[int]:
        """Return the positions of the chosen images, those of the highest score first."""
        return self.chosen[np.argsort(-self.scores.numpy()[self.chosen], kind="stable")].tolist()


def build_rows(choice: Choice, run: FinishedRun) -> list[dict]:
    """Return a row for each chosen image: path, the two most probable classes, margin, rarity and score."""
    names, counts, pool = run.classes.names, run.classes.counts, choice.pool
    best = pool.probabilities.topk(2, dim=-1)
    margins, rarity = compute_margins(pool.probabilities), compute_rarity(pool.probabilities, counts)
    return [
        {
            "rank": rank,
            "path": make_printable(pool.paths[i]),
            "predicted": names[best.indices[i, 0]],
            "probability": round(best.values[i, 0].item(), 4),
            "second": names[best.indices[i, 1]],
            "second_probability": round(best.values[i, 1].item(), 4),
            "train_images": counts[best.indices[i, 0]],
            "margin": round(margins[i].item(), 4),
            "rarity": round(rarity[i].item(), 4),
            "score": round(choice.scores[i].item(), 4),
        }
        for rank, i in enumerate(choice.order(), 1)
    ]


def write_choice(table: Path, page: Path, choice: Choice, run: FinishedRun, notes: list[str]) -> None:
    """Write the table and the page."""
    rows = build_rows(choice, run)
    write_csv(table, rows)
    shown = choice.order()[:MAX_CARDS]
    paths = [choice.pool.paths[i] for i in shown]
    folder = find_common_folder(choice.pool.paths)
    photos = read_photographs(
        [partial(read_image, path, path, LARGEST) for path in paths],
        [make_printable(os.path.relpath(path, folder)) for path in paths],
    )
    cards = [
        Card(
            photo,
            f"{row['predicted']} {100 * row['probability']:.0f} %",
            (f"or {row['second']} {100 * row['second_probability']:.0f} %",),
        )
        for photo, row in zip(photos, rows[:MAX_CARDS], strict=True)
    ]
    predicted = choice.pool.probabilities.argmax(1).numpy()
    every, picked = (
        np.bincount(labels, minlength=len(run.classes)) for labels in (predicted, predicted[choice.chosen])
    )
    lines = [
        (run.classes.names[c], run.classes.groups[c], (run.classes.counts[c], int(every[c]), int(picked[c])))
        for c in np.lexsort((np.array(run.classes.counts), -picked)).tolist()
        if every[c]
    ]
    overview = [
        ("run", f"{run.path.resolve().name} ({run.recipe.method})"),
        ("pool", f"{choice.pool_size:,} images, {len(choice.pool):,} of them new to the run and readable"),
        ("chosen", f"{len(rows):,}"),
    ]
    how = (
        "An image is worth more if the two most probable classes are close and if these classes are rare in training; "
        "images that look alike are not chosen together. Probabilities are under a uniform class prior."
    )
    tally = Tally("Predicted classes", ("class", "training images", "in the pool", "chosen"), lines)
    title = f"Images to label next: {run.path.resolve().name}"
    content = render_photo_page(title, overview, [*notes, how], tally, "Chosen images", cards, len(rows))
    write_text(page, content)
