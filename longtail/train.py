"""The training loop, the only one: every method, on every data set, runs through it."""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from longtail.data import Loader, Split
from longtail.data.loader import mix
from longtail.errors import LongtailError, expanded
from longtail.evaluate import adapt, batches_of, measure, predict, write
from longtail.graph import GraphStep
from longtail.methods import Method, Stage
from longtail.plan import Part, make_loader, path_of, plan
from longtail.recipe import Recipe
from longtail.runs import RunFolder
from longtail.selection import SELECTED, best_epoch, check_selection, selected_results
from longtail.step import Step
from longtail.track import Report, Tracker
from longtail.world import World, full_precision, start


def train(
    recipe: Recipe,
    out: str | Path,
    report: Report,
    *,
    root: str | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
) -> RunFolder:
    """Train, evaluate and keep one run in the folder `out`; with resume, continue the one there, or begin it.

    Raises LongtailError for bad input, an existing folder, and a loss that is no longer finite.
    """
    world = start(device, threads)
    with world.fork_random(), world.unbroken():
        training = prepare(recipe, out, report, world, root, resume, workers)
        for _ in training.go():
            pass
    return training.run


def prepare(
    recipe: Recipe,
    out: str | Path,
    report: Report,
    world: World,
    root: str | None = None,
    resume: bool = False,
    workers: int | None = None,
) -> "Training":
    """Load the data, build the method, claim the folder: all that can go wrong does so before the first step."""
    split = world.in_turn(lambda: recipe.load(root, workers))
    recipe = recipe.fitted(split)
    full_precision(recipe.precision != "tf32")
    torch.manual_seed(mix(recipe.seed, 0))
    method = recipe.build(split.classes.counts).to(world.device)
    check_selection(recipe, split, method)
    parts, loader = plan(method.stages(), recipe.epochs), make_loader(recipe, method, split, world)

    def claim() -> RunFolder:
        run = RunFolder.claim(out, recipe, split, resume)
        if not run.has("environment.json"):
            found = world.describe() | {"root": root and str(expanded(root).resolve())}
            run.write_json("environment.json", found)
        return run

    return Training(recipe, method, split, parts, loader, world.from_lead(claim), report, world)


@dataclass
class Training:
    """One run: stages, epochs, steps."""

    recipe: Recipe
    method: Method
    split: Split
    parts: list[Part]
    loader: Loader
    run: RunFolder
    report: Report
    world: World

    def __post_init__(self):
        self.epochs = self.parts[-1].before + self.parts[-1].epochs
        self.parameters = {name: p for name, p in self.method.named_parameters() if p.requires_grad}
        self.rows: list[dict] = []
        self.tracker = Tracker(self.run.path / "tensorboard")

    def go(self) -> Iterator[None]:
        """Every stage from the checkpoint on, then the results; yields while a chunk of steps is under way on the device."""
        if self.world.from_lead(lambda: self.run.has("results.json")):
            self.report.note(f"{self.run.path} is trained to the end already; nothing is left to do")
            return
        with ExitStack() as stack:
            checkpoint = self.world.from_lead(lambda: self.take_up(stack))
            self.report.begin(self.recipe.seed, self.title(), self.epochs, self.epochs * self.loader.steps)
            for text in [*self.split.notes, *self.split.classes.notes(), *self.method.notes]:
                self.report.note(text)
            try:
                for part in self.parts[checkpoint["stage"] if checkpoint else 0 :]:
                    yield from self.go_stage(part, checkpoint)
                    checkpoint = None
            finally:
                self.report.end(self.recipe.seed)
                self.tracker.close()
            self.finish()

    def take_up(self, stack: ExitStack) -> dict | None:
        """Lock the folder, and read its checkpoint if there is one."""
        stack.enter_context(self.run.locked())
        return self.run.load_checkpoint() if self.run.has("checkpoint.pt") else None

    def finish(self) -> None:
        """Test the model of the last epoch, and of the selected one, and write what a finished run keeps."""
        views, extras = self.recipe.family, {}
        if self.split.val is not None and not self.parts[-1].epochs:  # the last epoch was not yet the model
            self.rows[-1] |= measure(self.method, self.split, self.recipe, "val", self.world)
        run = self.run, self.recipe, self.method, self.split, self.rows
        if self.recipe.select:
            extras["selected"] = selected_results(*run, self.world)
        if self.method.sees:
            extras["test_time"] = adapt(self.method, self.split.test, views, self.recipe.seed)
        predictions = predict(self.method, self.split.test, views, self.world)
        self.world.from_lead(lambda: write(*run, predictions, extras))

    def title(self) -> str:
        """What is trained, on what, where, in a sentence."""
        recipe, groups = self.recipe, self.split.classes.groups
        by_group = ", ".join(f"{groups.count(name)} {name}" for name in ("many", "medium", "few"))
        epochs = "epoch" if self.epochs == 1 else "epochs"
        return (
            f"{recipe.method} on {self.split.name}: {len(self.split.train):,} training images, {len(groups)} classes "
            f"({by_group}), {len(self.split.test):,} test images; {recipe.net}, {self.epochs} {epochs} of "
            f"{self.loader.steps} steps, {self.world.name}, {recipe.precision}{path_of(self.split)}"
        )

    def go_stage(self, part: Part, checkpoint: dict | None) -> Iterator[None]:
        """The epochs of one stage, each kept as soon as it is done."""
        torch.manual_seed(mix(self.recipe.seed, 1, part.number))
        self.method.begin_stage(part.stage, self.split)
        views = self.recipe.family
        if not part.epochs:
            with torch.no_grad():
                self.method.eval().post_hoc(part.stage, batches_of(self.split.train, views, self.world.device))
            return
        own = {"lr": part.stage.lr, "weight_decay": part.stage.weight_decay}
        recipe = replace(self.recipe, **{name: value for name, value in own.items() if value is not None})
        alone_on_gpu = self.world.device.type == "cuda" and self.world.size == 1
        kind = GraphStep if alone_on_gpu else Step  # a graph of collectives has not been tried
        step = kind(self.method, self.choose(part.stage), recipe, views, self.world)
        first = self.restore(step, part, checkpoint) if checkpoint else 0
        for epoch in range(first, part.epochs):
            torch.manual_seed(mix(self.recipe.seed, 2, part.number, epoch))
            began = time.perf_counter()
            terms = yield from self.go_epoch(step, part, epoch)
            self.keep(step, part, epoch, terms, time.perf_counter() - began)

    def choose(self, stage: Stage) -> list[Tensor]:
        """Freeze what a stage does not train, and return what it does."""
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(
                stage.trains is None or name.startswith(tuple(f"{part}." for part in stage.trains))
            )
        return [parameter for parameter in self.parameters.values() if parameter.requires_grad]

    def awaken(self, stage: Stage) -> None:
        """Training mode for what a stage trains or adapts; the rest computes as it will when tested."""
        self.method.train(stage.trains is None)
        for name in (stage.trains or ()) + stage.adapts:
            self.method.get_submodule(name).train()

    def go_epoch(self, step: Step, part: Part, epoch: int) -> Generator[None, None, dict[str, float]]:
        """One pass over the training images; returns the mean of each loss term and of their sum."""
        self.awaken(part.stage)
        totals: dict[str, float] = {}
        done, all_steps = epoch * self.loader.steps, part.epochs * self.loader.steps
        for chunks in self.loader.epoch(epoch, part.number, part.stage.samplers):
            for i in range(len(chunks[0])):
                step([chunk.batch(i, step.progress) for chunk in chunks], (done + i) / all_steps)
            yield
            sums, steps = self.read(step, part.before + epoch + 1, done - epoch * self.loader.steps)
            done += steps
            totals = {name: totals.get(name, 0.0) + value for name, value in sums.items()}
            self.report.advance(
                self.recipe.seed, part.before + epoch + 1, steps, {name: value / steps for name, value in sums.items()}
            )
        means = {name: value / self.loader.steps for name, value in totals.items()}
        return {"loss": sum(means.values()), **means}

    def read(self, step: Step, epoch: int, done: int) -> tuple[dict[str, float], int]:
        """The sums of the loss terms; raises LongtailError with the place and the last good checkpoint if one is not finite."""
        bad = step.not_finite()
        if bad:
            where = f"the loss term '{bad[0]}' is not finite at step {done + bad[1]} of epoch {epoch}"
            raise LongtailError(self.not_finite(where, epoch))
        return step.read()

    def not_finite(self, where: str, epoch: int) -> str:
        """What is said of a diverged run: the place, and what is left of it."""
        kept = "no epoch was finished, so there is no checkpoint"
        if epoch > 1:
            kept = f"the last good checkpoint is {self.run.path / 'checkpoint.pt'}, of epoch {epoch - 1}"
        return f"{where}; {kept}. Try a lower --lr with another --out"

    def keep(self, step: Step, part: Part, epoch: int, terms: dict[str, float], seconds: float) -> None:
        """Write the checkpoint and a row of `metrics.csv`, with a test of the model where one is due."""
        done, every = part.before + epoch + 1, self.recipe.eval_every
        finite = torch.stack([parameter.isfinite().all() for parameter in self.parameters.values()]).tolist()
        broken = [name for name, good in zip(self.parameters, finite, strict=True) if not good]
        if broken:
            raise LongtailError(self.not_finite(f"the weights of {broken[0]} are not finite after epoch {done}", done))
        row = {"epoch": done, "stage": part.stage.name, "lr": step.lr.item(), "seconds": seconds, **terms}
        row["peak_memory_mb"] = self.world.peak_memory() / 2**20
        due = bool(every) and done % every == 0
        validated = self.split.val is not None and (due or self.recipe.select or done == self.epochs)
        for name in ["val"] * bool(validated) + ["test"] * (due and done < self.epochs):
            row |= measure(self.method, self.split, self.recipe, name, self.world)
        self.rows.append(row)
        self.world.from_lead(lambda: self.write(step, part, epoch))
        self.report.epoch(self.recipe.seed, row)

    def write(self, step: Step, part: Part, epoch: int) -> None:
        """Write the checkpoint, `metrics.csv`, and the weights if this epoch is selected."""
        if self.recipe.select and best_epoch(self.rows, self.recipe.select) is self.rows[-1]:
            self.run.write_tensors(SELECTED, self.method.inference_state())
        place = {"recipe": self.recipe.asdict(), "stage": part.number, "epoch": epoch + 1, "rows": self.rows}
        self.run.save_checkpoint(place | {"method": self.method.state_dict(), "optimiser": step.state()})
        self.run.write_csv("metrics.csv", self.rows)
        self.tracker.add(self.rows[-1])

    def restore(self, step: Step, part: Part, checkpoint: dict) -> int:
        """Take up a checkpoint; returns how many epochs of the stage are done."""
        with self.run.as_written("checkpoint.pt"):
            self.method.load_state_dict(checkpoint["method"])
            step.restore(checkpoint["optimiser"])
        self.rows = checkpoint["rows"]
        done = part.before + checkpoint["epoch"]
        goes_on = f"goes on with epoch {done + 1}" if done < self.epochs else "has all its epochs, and is tested"
        self.report.note(f"seed {self.recipe.seed} {goes_on}")
        self.report.advance(self.recipe.seed, done, done * self.loader.steps, {})
        return checkpoint["epoch"]
