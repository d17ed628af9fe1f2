"""How a run was made: its recipe, the method's options, the machine, the images; several runs in columns."""

import statistics
from dataclasses import dataclass, fields

from longtail.errors import LongtailError
from longtail.methods import METHODS, get_options
from longtail.recipe import Recipe
from longtail.report.summary import RunSummary


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


def list_recipe_settings(summaries: list[RunSummary]) -> list[Setting]:
    """Every field of the recipe; the seeds stand for the seed."""
    found = []
    for field in fields(Recipe):
        if field.name == "options":
            continue
        values = [getattr(summary.recipe, field.name) for summary in summaries]
        if field.name == "seed":
            values = [", ".join(map(str, summary.seeds)) for summary in summaries]
        found.append(Setting(field.name, tuple(map(format_value, values)), field.type.__metadata__[0]))
    return found


def list_option_settings(summaries: list[RunSummary]) -> list[Setting]:
    """Every option of the methods, given or by default; empty for a method that has not got it."""
    known: dict[str, str] = {}
    values: list[dict[str, str]] = []
    for summary in summaries:
        options = get_options(summary.recipe.method)
        known |= {name: option.help for name, option in options.items()}
        values.append({name: format_value(value) for name, value in summary.recipe.options.items()})
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


def list_environment_settings(summaries: list[RunSummary]) -> list[Setting]:
    """The machine, versions, time and memory of each run; several seeds that differ are all named."""
    found = []
    for name, meaning in ENVIRONMENT.items():
        values = [_join_distinct([environment[name] for environment in _environments(s, name)]) for s in summaries]
        found.append(Setting(name, tuple(values), meaning, False))
    times = [_times(summary) for summary in summaries]
    found.append(
        Setting("training", tuple(t[0] for t in times), "seconds, summed over epochs; a mean over seeds", False)
    )
    found.append(Setting("epoch", tuple(t[1] for t in times), "seconds, the median", False))
    found.append(Setting("peak memory", tuple(t[2] for t in times), "MB, of the process or the GPU", False))
    return found


def list_data_settings(summary: RunSummary) -> list[Setting]:
    """The images, which all runs of a report share."""
    split = summary.split
    shape = " x ".join(map(str, split["image_shape"])) if split["image_shape"] else "of any size, read from files"
    return [
        Setting("training images", (f"{split['train_images']:,}",), "in the long-tailed draw"),
        Setting("test images", (f"{split['test_images']:,}",), "used for the numbers of this page, for no choice"),
        Setting("image", (shape,), "channels, height and width in pixels"),
        Setting("training sha256", (split["train_sha256"],), "of labels and pixels: equal hashes, equal images"),
        Setting("test sha256", (split["test_sha256"],), "of labels and pixels"),
    ]


def format_source(summary: RunSummary) -> str:
    """The paper of a method with its year."""
    entry = METHODS.get(summary.recipe.method)
    return f"{entry.paper} {entry.year or ''}".strip() if entry else f"Method {summary.recipe.method}"


def format_value(value: object) -> str:
    """A value as a command line takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _environments(summary: RunSummary, name: str) -> list[dict]:
    for run in summary.runs:
        if name not in run.environment:
            raise LongtailError(f"{run.path / 'environment.json'} is not as longtail wrote it (no '{name}')")
    return [run.environment for run in summary.runs]


def _join_distinct(values: list[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _times(summary: RunSummary) -> tuple[str, str, str]:
    with summary.first.folder.report_damage("metrics.csv"):
        seconds = [[row["seconds"] for row in run.metrics] for run in summary.runs]
        memory = max(row["peak_memory_mb"] for run in summary.runs for row in run.metrics)
    total = statistics.mean(sum(own) for own in seconds)
    return f"{total:,.1f}", f"{statistics.median([one for own in seconds for one in own]):,.2f}", f"{memory:,.0f}"
