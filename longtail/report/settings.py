"""The settings tables of a report: recipe, options of the method, machine and images; a column for each run."""

import re
import statistics
from dataclasses import dataclass, fields
from typing import get_args

from longtail.data.catalog import hide_folders
from longtail.errors import LongtailError
from longtail.methods import METHODS, TAUGHT, get_options
from longtail.recipe import Recipe
from longtail.report.summary import RunSummary
from longtail.tracking import format_duration

BETWEEN_EXPERTS = re.compile(r"\b(?:experts?|teachers?)\b")  # in the help of an option


@dataclass(frozen=True)
class Setting:
    """A line of a settings table: name, one value for each run ("" for none), and meaning."""

    name: str
    values: tuple[str, ...]
    meaning: str
    affects_result: bool = True

    @property
    def differs(self) -> bool:
        """Return whether the runs have different values of a setting that affects the result."""
        return self.affects_result and len(set(self.values) - {""}) > 1


def list_recipe_settings(summaries: list[RunSummary]) -> list[Setting]:
    """List every field of the recipe; `seed` shows all seeds."""
    settings = []
    for field in fields(Recipe):
        if field.name == "options":
            continue
        values = [getattr(summary.recipe, field.name) for summary in summaries]
        if field.name == "seed":
            values = [", ".join(map(str, summary.seeds)) for summary in summaries]
        meaning = get_args(field.type)[1]  # the text of Annotated[type, text]
        settings.append(Setting(field.name, tuple(map(format_value, values)), meaning))
    return settings


def list_option_settings(summaries: list[RunSummary]) -> list[Setting]:
    """List every option of the methods, given or default; "" for a method without the option.

    Options between experts have no effect on single networks, and are left out where all runs are of one network.
    """
    is_single = all(summary.experts == 1 for summary in summaries)
    known: dict[str, str] = {}
    values: list[dict[str, str]] = []
    for summary in summaries:
        options = get_options(summary.recipe.method)
        known |= {
            name: option.help
            for name, option in options.items()
            if not (is_single and (name == "experts" or BETWEEN_EXPERTS.search(option.help)))
        }
        values.append({name: format_value(value) for name, value in summary.recipe.options.items()})
    return [Setting(name, tuple(options.get(name, "") for options in values), text) for name, text in known.items()]


ENVIRONMENT = {
    "began": "start of training (UTC)",
    "longtail": "version",
    "python": "version",
    "torch": "version",
    "platform": "operating system",
    "device": "device of the computation",
    "device_name": "kind of device",
    "threads": "CPU threads used",
    "cores": "CPU cores of the machine",
}


def list_environment_settings(summaries: list[RunSummary]) -> list[Setting]:
    """List machine, versions, time and memory of each run; a cell names all values that differ between seeds."""
    settings = []
    for name, meaning in ENVIRONMENT.items():
        values = [", ".join(dict.fromkeys(read_environment(summary, name))) for summary in summaries]
        settings.append(Setting(name, tuple(values), meaning, False))
    costs = zip(*map(summarize_cost, summaries), strict=True)
    meanings = {
        "training": "time of all epochs, mean over seeds",
        "epoch": "time of an epoch, median",
        "peak memory": "MB of the process or the GPU",
    }
    for (name, meaning), cells in zip(meanings.items(), costs, strict=True):
        settings.append(Setting(name, cells, meaning, False))
    return settings


def list_data_settings(summary: RunSummary) -> list[Setting]:
    """List the images, which all runs of a report share."""
    split = summary.split
    shape = " x ".join(map(str, split["image_shape"])) if split["image_shape"] else "of any size, read from files"
    return [
        Setting("training images", (f"{split['train_images']:,}",), "after the long-tailed draw"),
        Setting("test images", (f"{split['test_images']:,}",), "used only for the numbers on this page"),
        Setting("image", (shape,), "channels, height and width in pixels"),
        Setting(
            "training sha256", (split["train_sha256"],), "hash of labels and pixels; equal hashes mean equal images"
        ),
        Setting("test sha256", (split["test_sha256"],), "hash of labels and pixels"),
    ]


def format_source(summary: RunSummary) -> str:
    """Return paper and year of a method."""
    entry = (METHODS | TAUGHT).get(summary.recipe.method)
    return f"{entry.paper} {entry.year or ''}".strip() if entry else f"Method {summary.recipe.method}"


def format_value(value: object) -> str:
    """Format a value for a table cell; None is a flag that is not given."""
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else hide_folders(str(value))


def read_environment(summary: RunSummary, name: str) -> list[str]:
    """Read an entry of `environment.json` of every seed; raises LongtailError if the entry is missing."""
    for run in summary.runs:
        if name not in run.environment:
            raise LongtailError(f"{run.path / 'environment.json'} is not as longtail wrote it (no '{name}')")
    return [str(run.environment[name]) for run in summary.runs]


def summarize_cost(summary: RunSummary) -> tuple[str, str, str]:
    """Return the time of training (mean over seeds), the time of an epoch (median), and peak memory in MB, as text."""
    with summary.first.folder.report_damage("metrics.csv"):
        seconds = [[row["seconds"] for row in run.metrics] for run in summary.runs]
        memory = max(row["peak_memory_mb"] for run in summary.runs for row in run.metrics)
    training = statistics.mean(sum(epochs) for epochs in seconds)
    epoch = statistics.median([value for epochs in seconds for value in epochs])
    return format_duration(training), format_duration(epoch), f"{memory:,.0f}"
