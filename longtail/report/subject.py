"""What a report tells of: a finished run, or the runs of several seeds as one."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from longtail.data import ClassTable
from longtail.errors import LongtailError
from longtail.recipe import Recipe
from longtail.runs import RunFolder
from longtail.seeds import summarise_seeds


@dataclass(frozen=True)
class Subject:
    """The files of one finished run, or of a folder that `--seeds` made, under the name that tells it from the others."""

    label: str
    path: Path
    runs: tuple[RunFolder, ...]

    @classmethod
    def open(cls, path: str | Path) -> "Subject":
        """A finished run, or all runs of a seeds folder; raises LongtailError if there is none or it is not finished."""
        folder = RunFolder(path)
        if folder.has("seeds.json"):
            with folder.as_written("seeds.json"):
                seeds = [int(seed) for seed in folder.read_json("seeds.json")["seeds"]]
            runs = tuple(RunFolder.open(folder.path / f"seed{seed}") for seed in seeds)
        elif any(folder.path.glob("seed*/recipe.json")):
            raise LongtailError(
                f"{folder.path} is not finished: it has runs of seeds but no seeds.json; "
                "the same train command with --resume goes on"
            )
        else:
            runs = (RunFolder.open(path),)
        for run in runs:
            if not run.has("results.json"):
                raise LongtailError(
                    f"{run.path} is not finished, so there is nothing to report; the same train command with --resume goes on"
                )
        return cls(folder.path.name, folder.path, runs)

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe of the first seed."""
        with self.runs[0].as_written("recipe.json"):
            return Recipe(**self.runs[0].read_json("recipe.json"))

    @cached_property
    def summary(self) -> dict:
        """The seven numbers as {mean, sd} or None; the deviation of a single seed is None."""
        with self.runs[0].as_written("results.json"):
            return summarise_seeds([run.read_json("results.json") for run in self.runs])

    @property
    def seeds(self) -> list[int]:
        """The seeds of its runs."""
        return self.summary["seeds"]

    @property
    def experts(self) -> int:
        """How many networks vote; 1 for a single one."""
        return len(self.summary["plain"]["experts"])

    @cached_property
    def split(self) -> dict:
        """What `split.json` holds: numbers, shape and hashes of the images."""
        run = self.runs[0]
        with run.as_written("split.json"):
            found = run.read_json("split.json")
            kept = ("train_images", "test_images", "image_shape", "train_sha256", "test_sha256")
            return {name: found[name] for name in kept}

    @cached_property
    def classes(self) -> ClassTable:
        """Names, training counts and groups of the classes."""
        run = self.runs[0]
        with run.as_written("split.json"):
            found = run.read_json("split.json")
            pairs = list(zip(found["classes"], found["train_counts"], strict=True))
            return ClassTable(tuple(str(name) for name, _ in pairs), tuple(int(count) for _, count in pairs))

    @cached_property
    def per_class(self) -> list[dict]:
        """A row a class: `test_images`, and accuracy in percent of plain, flip and expert_k, a mean over seeds, None if n/a."""
        tables = [run.read_csv("per_class.csv") for run in self.runs]
        with self.runs[0].as_written("per_class.csv"):
            if {len(table) for table in tables} != {len(self.classes)}:
                raise ValueError(f"{len(tables[0])} rows for {len(self.classes)} classes")
            voters = ["plain", "flip", *(f"expert_{k}" for k in range(self.experts))]
            return [
                {"test_images": int(rows[0]["test_images"])} | {v: _mean([row[v] for row in rows]) for v in voters}
                for rows in zip(*tables, strict=True)
            ]

    @cached_property
    def metrics(self) -> list[list[dict]]:
        """The rows of `metrics.csv`, a list a seed."""
        return [run.read_csv("metrics.csv") for run in self.runs]

    @cached_property
    def environments(self) -> list[dict]:
        """What each run says of its machine."""
        return [run.read_json("environment.json") for run in self.runs]


def open_subjects(paths: list[str | Path]) -> list[Subject]:
    """All that a report compares, each with a label of its own; raises LongtailError if their images differ."""
    found = [Subject.open(path) for path in paths]
    first = found[0]
    if len({subject.path.resolve() for subject in found}) < len(found):
        raise LongtailError("the same run is named twice; name each once")
    for other in found[1:]:
        for part in ("train", "test"):
            if other.split[f"{part}_sha256"] != first.split[f"{part}_sha256"]:
                raise LongtailError(
                    f"{first.path} ({first.recipe.data}, {first.recipe.tail}) and {other.path} "
                    f"({other.recipe.data}, {other.recipe.tail}) have other {part} images, so their "
                    "numbers do not compare; report them apart"
                )
    for names in ([s.recipe.method for s in found], [s.path.name for s in found], [str(s.path) for s in found]):
        if len(set(names)) == len(names):
            break
    return [replace(subject, label=name) for subject, name in zip(found, names, strict=True)]


def _mean(cells: list[str]) -> float | None:
    values = [float(cell) for cell in cells if cell]
    return sum(values) / len(values) if values else None
