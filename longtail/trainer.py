"""The training loop, the only one: every method, on every data set, runs through it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch

from longtail.checkpoint import SECONDS_BETWEEN, check_terms, check_weights, lock_and_load, save_checkpoint
from longtail.data import Batch, Loader, Split
from longtail.data.seeding import derive_seed
from longtail.distributed import World
from longtail.evaluate import adapt_to_test_images, evaluate_subset, iterate_batches, predict_subset
from longtail.graph import GraphStep
from longtail.methods import Method
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.runs.results import SELECTED_WEIGHTS, write_results
from longtail.selection import evaluate_selected, find_best_epoch, subsets_due
from longtail.stages import StagePlan, build_parameter_groups, describe_resume, describe_run
from longtail.step import Step
from longtail.tensorboard import Tracker
from longtail.tracking import ProgressReport, Stopped


@dataclass
class Trainer:
    """One run: stages, epochs, steps. Seeds derive from (seed, stage, epoch), so that a resumed run draws the same numbers."""

    recipe: Recipe
    method: Method
    split: Split
    plans: list[StagePlan]
    loader: Loader
    run: RunFolder | None  # None: nothing is written, and `train` leaves the trained method in memory
    report: ProgressReport
    world: World
    should_stop: Callable[[], bool] = lambda: False

    def __post_init__(self):
        self.epochs = self.plans[-1].first_epoch + self.plans[-1].epochs
        self.parameters = {name: p for name, p in self.method.named_parameters() if p.requires_grad}
        self.rows: list[dict] = []
        self.next_checkpoint = 0.0
        self.tracker = Tracker(self.run.path / "tensorboard" if self.run else None)

    def fit(self) -> None:
        """Train every stage from the checkpoint on, then test and write the results; raises Stopped if asked to stop."""
        run = self.run
        assert run
        if self.world.on_main(run.is_finished):
            self.report.note(f"{run.path} is trained to the end already; nothing is left to do")
            return
        with ExitStack() as stack:
            stack.callback(self.report.end, self.recipe.seed)
            stack.callback(self.tracker.close)
            self.train(self.world.on_main(lambda: lock_and_load(run, self.plans, stack)))
            self.finish(run)

    def train(self, checkpoint: dict | None = None) -> None:
        """Train every stage, from the checkpoint on; raises Stopped if asked to stop."""
        title = describe_run(self.recipe, self.split, self.world, self.epochs, self.loader.steps)
        self.report.begin(self.recipe.seed, title, self.epochs, self.epochs * self.loader.steps)
        for text in [*self.split.notes, *self.split.classes.notes(), *self.method.notes]:
            self.report.note(text)
        for plan in self.plans[checkpoint["stage"] if checkpoint else 0 :]:
            self.run_stage(plan, checkpoint)
            checkpoint = None

    def run_stage(self, plan: StagePlan, checkpoint: dict | None) -> None:
        """Train the epochs of one stage, from the checkpoint's epoch on."""
        torch.manual_seed(derive_seed(self.recipe.seed, 1, plan.number))
        self.method.begin_stage(plan.stage, self.split)
        if not plan.epochs:
            with torch.no_grad():
                self.method.eval().post_hoc(plan.stage, self.iterate_unaugmented())
            return
        step = self.build_step(plan)
        first = self.restore(step, plan, checkpoint) if checkpoint else 0
        for epoch in range(first, plan.epochs):
            torch.manual_seed(derive_seed(self.recipe.seed, 2, plan.number, epoch))
            began = time.perf_counter()
            terms = self.train_epoch(step, plan, epoch)
            self.end_epoch(step, plan, epoch, terms, time.perf_counter() - began)

    def build_step(self, plan: StagePlan) -> Step:
        """Build the step over the parameters of a stage, with its learning rate and weight decay."""
        stage, groups = plan.stage, build_parameter_groups(self.method, plan.stage, self.recipe.encoder_lr)
        lr = (self.recipe.lr if stage.lr is None else stage.lr) * stage.lr_scale
        weight_decay = self.recipe.weight_decay if stage.weight_decay is None else stage.weight_decay
        recipe = replace(self.recipe, lr=lr, weight_decay=weight_decay)
        # a graph of collectives has not been tried, so several GPUs run eagerly
        kind = GraphStep if self.world.device.type == "cuda" and self.world.size == 1 else Step
        return kind(self.method, groups, recipe, self.recipe.transform_set, self.world)

    def iterate_unaugmented(self) -> Iterator[Batch]:
        """Return an iterator over the training images once, in order and without augmentation; images are read lazily."""
        return iterate_batches(self.split.train, self.recipe.transform_set, self.world.device)

    def train_epoch(self, step: Step, plan: StagePlan, epoch: int) -> dict[str, float]:
        """Train one epoch of a stage; returns the mean of each finite loss term over the steps, and of their sum as "loss"."""
        with torch.no_grad():
            self.method.eval().begin_epoch(self.iterate_unaugmented())
        self.method.set_train_mode(plan.stage)
        totals: dict[str, float] = {}
        number, done, n = plan.first_epoch + epoch + 1, 0, self.loader.steps
        for chunks in self.loader.epoch(epoch, plan.number, plan.stage.samplers):
            for i in range(len(chunks[0])):
                self.report.step(self.recipe.seed, number, done + i)
                step([chunk.batch(i, step.progress) for chunk in chunks], (epoch * n + done + i) / (plan.epochs * n))
            if self.should_stop():
                raise Stopped
            check_terms(self.run, step.not_finite(), number, done)
            sums, steps = step.pop_sums()
            done += steps
            totals = {name: totals.get(name, 0.0) + value for name, value in sums.items()}
            self.report.advance(self.recipe.seed, number, steps, {name: v / steps for name, v in sums.items()})
        means = {name: value / n for name, value in totals.items()}
        return {"loss": sum(means.values()), **means}

    def end_epoch(self, step: Step, plan: StagePlan, epoch: int, terms: dict[str, float], seconds: float) -> None:
        """Test the model if it is due, add a row of metrics, and save the checkpoint in the run folder."""
        done = plan.first_epoch + epoch + 1
        check_weights(self.run, self.parameters, done)
        row: dict[str, Any] = {"epoch": done, "stage": plan.stage.name, "lr": step.lr.item(), "seconds": seconds}
        row |= terms | {"peak_memory_mb": self.world.peak_memory() / 2**20}
        for name in subsets_due(self.recipe, self.split, done, self.epochs):
            self.report.phase(f"testing on the {name} images", self.recipe.seed)
            row |= evaluate_subset(self.method, self.split, self.recipe, name, self.world)
        self.rows.append(row)
        if run := self.run:
            self.world.on_main(lambda: self.save(run, step, plan, epoch))
        self.report.epoch(self.recipe.seed, row)

    def save(self, run: RunFolder, step: Step, plan: StagePlan, epoch: int) -> None:
        """Write the weights if this epoch is the best so far on validation, and, if one is due, a checkpoint."""
        select = self.recipe.select
        is_best = bool(select and find_best_epoch(self.rows, select) is self.rows[-1])
        if is_best:
            run.write_tensors(SELECTED_WEIGHTS, self.method.inference_state())
        self.tracker.add(self.rows[-1])
        if is_best or epoch + 1 == plan.epochs or time.monotonic() >= self.next_checkpoint:
            state = {"recipe": self.recipe.asdict(), "stage": plan.number, "epoch": epoch + 1, "rows": self.rows}
            save_checkpoint(run, state | {"method": self.method.state_dict(), "optimiser": step.state_dict()})
            run.write_csv("metrics.csv", self.rows)
            self.next_checkpoint = time.monotonic() + SECONDS_BETWEEN[self.world.device.type]

    def restore(self, step: Step, plan: StagePlan, checkpoint: dict) -> int:
        """Load a checkpoint into method, optimizer and metrics; returns how many epochs of the stage are done."""
        assert self.run
        with self.run.report_damage("checkpoint.pt"):
            self.method.load_state_dict(checkpoint["method"])
            step.load_state_dict(checkpoint["optimiser"])
        self.rows = checkpoint["rows"]
        done = plan.first_epoch + checkpoint["epoch"]
        self.report.note(f"seed {self.recipe.seed} {describe_resume(done, self.epochs)}")
        self.report.advance(self.recipe.seed, done, done * self.loader.steps, {})
        return checkpoint["epoch"]

    def finish(self, run: RunFolder) -> None:
        """Test the selected epoch, let the method adapt, test the last epoch, and write the files of a finished run."""
        self.report.phase("testing", self.recipe.seed)
        transform_set, extras = self.recipe.transform_set, {}
        if self.split.val is not None and not self.plans[-1].epochs:  # a post-hoc stage made the model
            self.rows[-1] |= evaluate_subset(self.method, self.split, self.recipe, "val", self.world)
        about = run, self.recipe, self.method, self.split, self.rows
        if self.recipe.select:
            extras["selected"] = evaluate_selected(*about, self.world)
        if self.method.test_time_views:
            extras["test_time"] = adapt_to_test_images(self.method, self.split.test, transform_set, self.recipe.seed)
        predictions = predict_subset(self.method, self.split.test, transform_set, self.world, self.recipe.five_crop)
        self.world.on_main(lambda: write_results(*about, predictions, extras))
