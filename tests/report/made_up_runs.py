"""Run folders with made-up predictions and without a model."""

import json
from pathlib import Path

import numpy as np
import torch

from longtail.data import ClassTable, Split, TensorImages
from longtail.data.classes import RawSplitBuilder
from longtail.data.lazy import ImageIndex
from longtail.recipes import recipe_for
from longtail.runs.folder import RunFolder
from longtail.runs.results import Predictions, build_per_class_rows, write_predictions


def made_up(
    path: Path,
    names: list[str],
    counts: list[int],
    *,
    tested: int = 10,
    untested: tuple[int, ...] = (),
    experts: int = 3,
    method: str = "ecl",
    seed: int = 0,
    files: list[str] | None = None,
) -> RunFolder:
    """Make up a finished run with the recipe of digits-lt, other classes, and about three of five predictions correct.

    `files` are the paths of the test images.
    """
    rng, classes = np.random.default_rng(seed), len(names)
    labels = torch.tensor([c for c in range(classes) for _ in range(tested) if c not in untested], dtype=torch.int64)
    guesses = torch.where(torch.tensor(rng.random(len(labels)) < 0.6), labels, (labels * 7 + 1) % classes)
    logits = 3 * torch.nn.functional.one_hot(guesses, classes) + torch.tensor(
        rng.random((experts, len(labels), classes))
    )
    predictions = Predictions(logits.float(), logits.flip(0).float(), labels)
    image = TensorImages(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), labels[:1])
    split = Split(
        "digits-lt",
        ClassTable(tuple(names), tuple(counts)),
        image,
        TensorImages(image.images, labels, make_index(files)),
    )
    run, recipe = RunFolder.create(path), recipe_for("digits-lt", method=method, seed=seed, epochs=2)
    run.write_json("split.json", split.describe() | {"test_images": len(labels)})
    run.write_json("recipe.json", recipe.asdict())
    run.write_json("model.json", {"classes": names, "train_counts": counts})
    machine = ["began", "longtail", "python", "torch", "platform", "device", "device_name", "threads", "cores"]
    run.write_json("environment.json", dict.fromkeys(machine, "made up") | {"root": None})
    rows = [{"epoch": e, "stage": "train", "seconds": 1.5, "loss": 2 / e, "bc": 2 / e} for e in (1, 2)]
    run.write_csv("metrics.csv", [row | {"peak_memory_mb": 100.0} for row in rows])
    run.write_csv("per_class.csv", build_per_class_rows(predictions, split))
    write_predictions(run, predictions, split)
    head = {"method": method, "data": "digits-lt", "seed": seed, "epochs": 2}
    run.write_json("results.json", head | predictions.results(counts))
    return run


def make_index(files: list[str] | None) -> ImageIndex | None:
    """Make the index of files that need not exist; None for None."""
    builder = RawSplitBuilder()
    for file in files or ():
        builder.add(file, "any")
    return builder.build("/nowhere").index if files else None


def made_up_seeds(path: Path, seeds: int, *args, **options) -> Path:
    """Make up a folder as `--seeds` writes it."""
    from longtail.seeds import summarize_seeds

    path.mkdir()
    runs = [made_up(path / f"seed{seed}", *args, seed=seed, **options) for seed in range(seeds)]
    summary = summarize_seeds([run.read_json("results.json") for run in runs])
    (path / "seeds.json").write_text(json.dumps(summary))
    return path
