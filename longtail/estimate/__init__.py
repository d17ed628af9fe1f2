"""What a run costs on this machine: the seconds of features, steps and tests, and the memory, measured in a few seconds.

Every number comes from the run's own code on a sample of the run's own images.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from longtail.data import Batch, ClassTable, FeatureSet, LazyImages, Split, TensorImages
from longtail.data.five_crop import CROPS
from longtail.data.memory import leave_in_files
from longtail.data.seeding import preserve_random_state
from longtail.data.stream import StreamLoader
from longtail.distributed import World
from longtail.estimate.clock import overlap, time_call, time_decoding, time_once
from longtail.estimate.preparation import Preparation, measure_features, measure_reading
from longtail.evaluate import compute_logits
from longtail.machine import default_threads
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.stages import build_loader, plan_stages
from longtail.step import Step
from longtail.tracking import SilentReport
from longtail.trainer import Trainer

BATCHES = 4  # batches of training images that stand for all
SMALL_BATCH, LONG_STEP = 16, 0.5  # a step of more seconds is timed on a small batch only, and scaled up
TIMED_SECONDS = 0.3  # of repeated short steps
FEW_TESTS, MORE_TESTS = 4, 20  # images of two tests, whose difference leaves out what does not grow with the images
FINAL_PASSES = 2  # over the test images at the end: plain and mirrored


@dataclass(frozen=True)
class Estimate:
    """The measured cost of a run: seconds to prepare the data, of an epoch, of one pass over the test images; bytes.

    `stages` is the number of stages that train, each of which takes an epoch at least.
    """

    preparation: float
    epoch: float
    test: float
    memory: int
    stages: int

    def training(self, epochs: int, eval_every: int) -> float:
        """Return the seconds of training and testing for a number of epochs."""
        passes = (epochs // eval_every if eval_every else 0) + FINAL_PASSES
        return epochs * self.epoch + passes * self.test

    def total(self, epochs: int, eval_every: int) -> float:
        """Return the seconds of the whole run for a number of epochs, without the drawing of the report."""
        return self.preparation + self.training(epochs, eval_every)


def estimate_run(recipe: Recipe, split: Split, world: World, cache: str | Path | None = None) -> Estimate:
    """Measure what a run costs; `split` lists its images, which need not be read, and `cache` is the folder of features.

    The measurement leaves no file and no random state behind. All processes measure together, and take the numbers of
    rank 0. Raises LongtailError for a run that cannot be, such as one without pretrained weights or readable images.
    """
    with world.session(tf32=recipe.precision == "tf32"), preserve_random_state():
        if world.threads is None:
            torch.set_num_threads(default_threads(recipe.transform_set.size))
        if recipe.frozen:
            prepared = measure_features(recipe, leave_in_files(split), world, cache)
        else:
            prepared = measure_reading(recipe, split, world)
        trainer = build_sample_trainer(recipe, split, prepared, world)
        found = measure_training(trainer, prepared, split, world)
    return world.on_main(lambda: found)


def build_sample_trainer(recipe: Recipe, split: Split, prepared: Preparation, world: World) -> Trainer:
    """Build the trainer of a run on a few batches that stand for all; the method is that of the real class counts."""
    recipe = recipe.fit_batch_size(replace(split, notes=[]))
    torch.manual_seed(recipe.seed)
    method = recipe.build_method(split.classes.counts).to(world.device)

    def take(labels: Tensor, n: int) -> FeatureSet | LazyImages | TensorImages:
        chosen = labels[np.linspace(0, len(labels) - 1, min(n, len(labels))).astype(np.int64)]
        rows = np.arange(len(chosen)) % len(prepared.rows)
        if isinstance(prepared.rows, LazyImages):
            return replace(prepared.rows.take(rows), labels=chosen, workers=0)
        data = prepared.rows[torch.from_numpy(rows)]
        return FeatureSet(data, chosen, "") if recipe.frozen else TensorImages(data, chosen)

    train = take(split.train.labels, BATCHES * recipe.batch_size)
    table = ClassTable.from_labels(list(split.classes.names), train.labels)
    few = Split(split.name, table, train, take(split.test.labels, MORE_TESTS))
    plans, loader = plan_stages(method.stages(), recipe.epochs), build_loader(recipe, method, few, world)
    return Trainer(recipe, method, few, plans, loader, RunFolder("."), SilentReport(), world)


def measure_training(trainer: Trainer, prepared: Preparation, split: Split, world: World) -> Estimate:
    """Measure an epoch, as the mean over the stages, a test and the memory; what is done once counts as preparation."""
    recipe, few = trainer.recipe, trainer.split
    steps, scale = len(split.train) // recipe.batch_size, len(split.train) / len(few.train)
    once, epochs, growth = prepared.seconds, 0.0, 0
    for plan in trainer.plans:
        trainer.method.begin_stage(plan.stage, few)
        if not plan.epochs:
            with torch.no_grad():
                hook = trainer.method.eval().post_hoc
                once += scale * time_once(lambda: hook(plan.stage, trainer.iterate_unaugmented()))  # noqa: B023
            continue
        step = trainer.build_step(plan)
        with torch.no_grad():
            begin = trainer.method.eval().begin_epoch
            prologue = scale * time_once(lambda: begin(trainer.iterate_unaugmented()))  # noqa: B023
        trainer.method.set_train_mode(plan.stage)
        began = time.perf_counter()
        chunks = next(trainer.loader.epoch(0, plan.number, plan.stage.samplers))
        augment = (time.perf_counter() - began) / len(chunks[0])
        batches = [chunk.batch(0, step.progress) for chunk in chunks]
        seconds, more = time_step(step, batches, world)
        if isinstance(trainer.loader, StreamLoader):
            assert isinstance(split.train, LazyImages) and isinstance(prepared.rows, LazyImages)
            _, decode = time_decoding(replace(trainer.loader.decoder, images=prepared.rows))
            images, n = replace(split.train, workers=split.train.workers), recipe.batch_size * len(batches)
            seconds, augment = overlap(n * decode / world.size, seconds, images, world), 0.0
        epochs += plan.epochs * (prologue + steps * (seconds + augment))
        growth = max(growth, more)
    tested = sum(len(images) for name, images in split.subsets.items() if name != "train") / world.size
    test = time_test(trainer)
    once += (recipe.class_means * len(split.train) + recipe.five_crop * CROPS * len(split.test)) / world.size * test
    memory = world.peak_memory() + growth + prepared.size
    training = [plan for plan in trainer.plans if plan.epochs]
    return Estimate(once, epochs / trainer.epochs, tested * test, memory, len(training))


def time_step(step: Step, batches: list[Batch], world: World) -> tuple[float, int]:
    """Return the seconds of a step, and the bytes that the whole batch takes beyond what was measured."""
    n, before = len(batches[0].y), world.peak_memory()
    if world.device.type == "cpu" and n > SMALL_BATCH and step.micro_batches == 1:
        small = [batch[:SMALL_BATCH] for batch in batches]
        seconds = time_call(lambda: step(small, 0.0)) * n / SMALL_BATCH
        if world.on_main(lambda: seconds > LONG_STEP):
            return seconds, int((world.peak_memory() - before) * (n / SMALL_BATCH - 1))

    def run() -> None:
        step(batches, 0.0)
        step.count.item()  # waits for a GPU

    for _ in range(5 if world.device.type == "cuda" else 1):  # a GPU captures its graph first
        run()
    once = time_once(run)
    times = world.on_main(lambda: min(int(TIMED_SECONDS / once) + 1, 50))
    return sum(time_once(run) for _ in range(times)) / times, 0


def time_test(trainer: Trainer) -> float:
    """Return the seconds that an image takes in a test."""
    images, transform_set = trainer.split.test, trainer.recipe.transform_set
    few, more = min(FEW_TESTS, len(images)), len(images)
    chosen = [images.take(range(n)) for n in (few, more)]
    times = [time_call(partial(compute_logits, trainer.method, subset, transform_set)) for subset in chosen]
    return max(times[1] - times[0], 0.0) / (more - few) if more > few else times[1] / more
