"""`RunSummary`: the subject of a report, one finished run or the runs of several seeds."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from longtail.data import ClassTable
from longtail.errors import LongtailError
from longtail.recipe import Recipe
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import RunFolder
from longtail.seeds import summarize_seeds


@dataclass(frozen=True)
class RunSummary:
    """One finished run, or the runs of a `--seeds` folder together; `label` is unique in a report."""

    label: str
    path: Path
    runs: tuple[FinishedRun, ...]

    @classmethod
    def open(cls, path: str | Path) -> "RunSummary":
        """Open a finished run, or all runs of a seeds folder; raises LongtailError if one is missing or unfinished."""
        folder = RunFolder(path)
        if folder.has("seeds.json"):
            with folder.report_damage("seeds.json"):
                seeds = [int(seed) for seed in folder.read_json("seeds.json")["seeds"]]
            return cls(folder.path.name, folder.path, tuple(FinishedRun.open(folder.path / f"seed{s}") for s in seeds))
        if any(folder.path.glob("seed*/recipe.json")):
            raise LongtailError(
                f"{folder.path} is not finished: seeds.json is missing; the same train command with --resume goes on"
            )
        return cls(folder.path.name, folder.path, (FinishedRun.open(path),))

    @property
    def first(self) -> FinishedRun:
        """Return the run of the first seed."""
        return self.runs[0]

    @property
    def recipe(self) -> Recipe:
        """Return the recipe of the first seed."""
        return self.first.recipe

    @property
    def classes(self) -> ClassTable:
        """Return the class table: names, training counts and groups."""
        return self.first.classes

    @cached_property
    def metrics(self) -> dict:
        """Return the seven metrics as {mean, sd} or None; the deviation of a single seed is None."""
        with self.first.folder.report_damage("results.json"):
            return summarize_seeds([run.results for run in self.runs])

    @property
    def seeds(self) -> list[int]:
        """Return the seeds of the runs."""
        return self.metrics["seeds"]

    @property
    def experts(self) -> int:
        """Return the number of experts; 1 for a single network."""
        return len(self.metrics["plain"]["experts"])

    @cached_property
    def split(self) -> dict:
        """Return sizes, shape and hashes of the images from `split.json`."""
        with self.first.folder.report_damage("split.json"):
            keys = ("train_images", "test_images", "image_shape", "train_sha256", "test_sha256")
            return {key: self.first.split[key] for key in keys}

    @cached_property
    def per_class(self) -> list[dict]:
        """Return a row for each class: `test_images`, and accuracy in percent of plain, flip and expert_k.

        Accuracies are means over seeds, None where a class has no test image.
        """
        tables = [run.per_class for run in self.runs]
        with self.first.folder.report_damage("per_class.csv"):
            columns = ["plain", "flip", *(f"expert_{k}" for k in range(self.experts))]
            return [
                {"test_images": int(rows[0]["test_images"])}
                | {c: compute_mean([row[c] for row in rows]) for c in columns}
                for rows in zip(*tables, strict=True)
            ]


def open_summaries(paths: list[str | Path]) -> list[RunSummary]:
    """Open the runs of a report with distinct labels; raises LongtailError if a run repeats or the images differ."""
    summaries = [RunSummary.open(path) for path in paths]
    first = summaries[0]
    if len({summary.path.resolve() for summary in summaries}) < len(summaries):
        raise LongtailError("the same run is named twice; name each run once")
    for other in summaries[1:]:
        for subset in ("train", "test"):
            if other.split[f"{subset}_sha256"] != first.split[f"{subset}_sha256"]:
                raise LongtailError(
                    f"{first.path} ({first.recipe.data}, {first.recipe.imbalance_text}) and {other.path} "
                    f"({other.recipe.data}, {other.recipe.imbalance_text}) have different {subset} images, so their "
                    "numbers cannot be compared; write a report for each"
                )
    # the shortest labels that tell the runs apart: methods, folder names, or paths
    methods, folders = [s.recipe.method for s in summaries], [s.path.name for s in summaries]
    paths = [os.path.abspath(s.path) for s in summaries]
    for names in (methods, folders, [os.path.relpath(path, os.path.commonpath(paths)) for path in paths]):
        if len(set(names)) == len(names):
            break
    return [replace(summary, label=name) for summary, name in zip(summaries, names, strict=True)]


def compute_mean(cells: list[str]) -> float | None:
    """Compute the mean of the cells that are not empty; None if all are empty."""
    values = [float(cell) for cell in cells if cell]
    return sum(values) / len(values) if values else None
