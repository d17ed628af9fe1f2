"""Three commands that train on a data set, quick, thorough and from scratch, each with what it costs on this machine."""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from longtail.data import ClassTable, LazyImages, Split
from longtail.data.holdout import DEFAULT_TEST_SHARE, grouped_holdout, stratified_holdout
from longtail.distributed import World, init_world
from longtail.errors import LongtailError
from longtail.estimate import estimate_run
from longtail.inspection.facts import Facts
from longtail.recipe import largest_batch_size
from longtail.recipes import recipe_for
from longtail.tracking import format_duration

STEPS = 10_000  # about 60 epochs of CIFAR-100-LT: shorter than a paper's schedule, enough for a first result
QUEUE = 1024  # keys in the queue of ECL (Sec. VI-C)
BATCH = 64
THOROUGH = {"frozen_views": 8, "epochs": 60}
MOST_WORDS = 160  # characters of a reason


@dataclass(frozen=True)
class Suggestion:
    """A command that trains: a word for it, the method and recipe where they are not the default, the flags, and the run folder.

    `cost` is what the command takes on this machine or, where it cannot be measured, the reason.
    """

    name: str
    data: str
    method: str | None
    recipe: str | None
    flags: dict[str, Any]
    out: str = "runs/run"
    cost: str = ""

    @property
    def command(self) -> str:
        """Return the command as it is typed."""
        words = ["longtail", "train", self.data, *filter(None, [self.method])]
        for name, value in ({"recipe": self.recipe} | self.flags | {"out": self.out}).items():
            if value is not None:
                words += [f"--{name.replace('_', '-')}", *([] if value is True else [f"{value}"])]
        return shlex.join(words)


def suggest_commands(facts: Facts, given: Mapping[str, str | None]) -> list[Suggestion]:
    """Return the commands for custom data; `given` are flags of the inspection that training needs too: root, val, test."""
    needed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    needed |= {} if has_test(facts) else {"test_share": DEFAULT_TEST_SHARE}
    needed |= {"group": facts.tracks.pattern} if facts.tracks and not has_test(facts) else {}
    needed |= {"skip_bad": True} if facts.headers.bad else {}
    queue, out = choose_queue(facts), f"runs/{re.sub(r'[^A-Za-z0-9._-]+', '-', Path(facts.data).name) or 'run'}"
    scratch = choose_schedule(facts) | queue | needed
    return [
        Suggestion("quick", facts.data, None, None, needed, out),
        Suggestion("thorough", facts.data, "ecl", None, THOROUGH | queue | needed, f"{out}-ecl"),
        Suggestion("from scratch", facts.data, "ecl", "scratch", scratch, f"{out}-scratch"),
    ]


def has_test(facts: Facts) -> bool:
    """Return whether there are images to test on: a test subset, or a validation subset in its place."""
    return bool(facts.counts.keys() & {"test", "val"})


def choose_schedule(facts: Facts) -> dict[str, Any]:
    """Return the epochs of a first run from scratch, and the size of its images."""
    images = sum(facts.classes.counts)
    # epochs for about STEPS steps, within bounds for very small and very large sets
    steps = max(images // min(BATCH, largest_batch_size(images)), 1)
    flags = {"epochs": min(max(round(STEPS / steps / 10) * 10, 30), 400)}
    if len(facts.headers.sides):
        flags["size"] = 32 if np.median(facts.headers.sides.min(1)) < 48 else 64
    return flags


def choose_queue(facts: Facts) -> dict[str, Any]:
    """Return a queue for ECL that does not hold most of a small training set; {} if the default is small enough."""
    images = sum(facts.classes.counts)
    return {"queue": max(2 ** int(math.log2(max(images // 2, 1))), 1)} if images < 2 * QUEUE else {}


def measure_suggestions(suggestions: list[Suggestion], facts: Facts) -> list[Suggestion]:
    """Return the suggestions with the time and memory that each takes on this machine, or the reason why that is unknown."""
    world = init_world()
    return [replace(suggestion, cost=measure_cost(suggestion, facts, world)) for suggestion in suggestions]


def measure_cost(suggestion: Suggestion, facts: Facts, world: World) -> str:
    """Return time and memory of a suggestion in words, or why they cannot be measured; never raises for bad data."""
    flags = {name: value for name, value in suggestion.flags.items() if name != "root"}
    try:
        recipe = recipe_for(facts.data, suggestion.recipe, method=suggestion.method, **flags)
        recipe.find_weights()
        found = estimate_run(recipe, build_split(facts), world)
    except LongtailError as error:
        return shorten(str(error))
    except (RuntimeError, ValueError, MemoryError) as error:  # of a set on which no network trains
        return shorten(f"not measured: {error}")
    seconds, training = found.total(recipe.epochs, recipe.eval_every), found.training(recipe.epochs, recipe.eval_every)
    before = f"{format_duration(found.preparation)} features and " if recipe.frozen else ""
    return f"{format_duration(seconds)} ({before}{format_duration(training)} training), {found.memory / 2**30:.1f} GiB"


def build_split(facts: Facts) -> Split:
    """Build the split that a run would train on; without test images a share of every class is held out.

    Raises LongtailError for fewer than two classes.
    """
    if len(facts.classes) < 2:
        raise LongtailError("one class only")
    train, test = facts.subsets["train"], facts.subsets.get("test") or facts.subsets.get("val")
    if test is None:
        kept, held = draw_test_images(facts)
        train, test = train.take(kept), train.take(held)
    table = ClassTable.from_labels(list(facts.classes.names), train.labels)
    return Split(facts.name, table, train, test)


def draw_test_images(facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions in train of the images that the suggested commands train on and test on; all, with a test subset."""
    train = facts.subsets["train"]
    if has_test(facts):
        return np.arange(len(train)), np.empty(0, dtype=np.int64)
    if isinstance(train, LazyImages) and train.groups is not None:
        return grouped_holdout(train.labels, train.groups, DEFAULT_TEST_SHARE)
    return stratified_holdout(train.labels, DEFAULT_TEST_SHARE)


def shorten(reason: str) -> str:
    """Return the first words of a reason: what is wrong, without the remedies that an error goes on with."""
    words = " ".join(reason.partition(";")[0].split())
    return words if len(words) <= MOST_WORDS else words[: MOST_WORDS - 3] + "..."
