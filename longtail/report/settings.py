"""How a run was made: its recipe, the method's options, the machine, the images; several runs in columns."""

import statistics
from dataclasses import dataclass, fields

from longtail.errors import LongtailError
from longtail.methods import METHODS, method_class, options_of
from longtail.recipe import Recipe
from longtail.report.subject import Subject


@dataclass(frozen=True)
class Setting:
    """A line of a settings table: a value a run ("" where it has none), and what it means."""

    name: str
    values: tuple[str, ...]
    meaning: str
    matters: bool = True  # decides what a run computes

    @property
    def differs(self) -> bool:
        """Whether runs that have it do not agree on it, and it matters."""
        return self.matters and len(set(self.values) - {""}) > 1


def recipe_settings(subjects: list[Subject]) -> list[Setting]:
    """Every field of the recipe; the seeds stand for the seed."""
    found = []
    for field in fields(Recipe):
        if field.name == "options":
            continue
        values = [getattr(subject.recipe, field.name) for subject in subjects]
        if field.name == "seed":
            values = [", ".join(map(str, subject.seeds)) for subject in subjects]
        found.append(Setting(field.name, tuple(map(written, values)), field.type.__metadata__[0]))
    return found


def option_settings(subjects: list[Subject]) -> list[Setting]:
    """Every option of the methods, given or by default; empty for a method that has not got it."""
    known: dict[str, str] = {}
    values: list[dict[str, str]] = []
    for subject in subjects:
        options = options_of(method_class(subject.recipe.method))
        known |= {name: option.help for name, option in options.items()}
        values.append({name: written(value) for name, value in subject.recipe.options.items()})
    return [Setting(name, tuple(own.get(name, "") for own in values), text) for name, text in known.items()]


ENVIRONMENT = {
    "began": "when training began (UTC)",
    "longtail": "version",
    "python": "version",
    "torch": "version",
    "platform": "operating system",
    "device": "where it computed",
    "device_name": "its kind",
    "threads": "CPU threads used",
    "cores": "CPU cores of the machine",
}


def environment_settings(subjects: list[Subject]) -> list[Setting]:
    """The machine, versions, time and memory of each run; several seeds that differ are all named."""
    found = []
    for name, meaning in ENVIRONMENT.items():
        values = [_joined([environment[name] for environment in _environments(s, name)]) for s in subjects]
        found.append(Setting(name, tuple(values), meaning, False))
    times = [_times(subject) for subject in subjects]
    found.append(
        Setting("training", tuple(t[0] for t in times), "seconds, summed over epochs; a mean over seeds", False)
    )
    found.append(Setting("epoch", tuple(t[1] for t in times), "seconds, the median", False))
    found.append(Setting("peak memory", tuple(t[2] for t in times), "MB, of the process or the GPU", False))
    return found


def data_settings(subject: Subject) -> list[Setting]:
    """The images, which all runs of a report share."""
    split = subject.split
    shape = " x ".join(map(str, split["image_shape"])) if split["image_shape"] else "of any size, read from files"
    return [
        Setting("training images", (f"{split['train_images']:,}",), "in the long-tailed draw"),
        Setting("test images", (f"{split['test_images']:,}",), "used for the numbers of this page, for no choice"),
        Setting("image", (shape,), "channels, height and width in pixels"),
        Setting("training sha256", (split["train_sha256"],), "of labels and pixels: equal hashes, equal images"),
        Setting("test sha256", (split["test_sha256"],), "of labels and pixels"),
    ]


def source_of(subject: Subject) -> str:
    """The paper of a method with its year."""
    entry = METHODS[subject.recipe.method]
    return f"{entry.paper} {entry.year or ''}".strip()


def written(value: object) -> str:
    """A value as a command line takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _environments(subject: Subject, name: str) -> list[dict]:
    for run, environment in zip(subject.runs, subject.environments, strict=True):
        if name not in environment:
            raise LongtailError(f"{run.path / 'environment.json'} is not as longtail wrote it (no '{name}')")
    return subject.environments


def _joined(values: list[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _times(subject: Subject) -> tuple[str, str, str]:
    with subject.runs[0].as_written("metrics.csv"):
        seconds = [[float(row["seconds"]) for row in rows] for rows in subject.metrics]
        memory = max(float(row["peak_memory_mb"]) for rows in subject.metrics for row in rows)
    total = statistics.mean(sum(own) for own in seconds)
    return f"{total:,.1f}", f"{statistics.median([one for own in seconds for one in own]):,.2f}", f"{memory:,.0f}"
