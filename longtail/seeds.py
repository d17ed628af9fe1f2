"""Several seeds of one recipe, trained side by side in processes and reported as one result."""

import multiprocessing
import os
import queue
import signal
import statistics
import time
from pathlib import Path
from typing import Any

from longtail.data import count_workers
from longtail.distributed import init_world
from longtail.errors import LongtailError, expand_path
from longtail.launch import train
from longtail.machine import keep_freed_memory
from longtail.ranks import get_world_size
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.tracking import ProgressReport


def train_seeds(
    recipe: Recipe,
    seeds: int,
    out: str | Path,
    report: ProgressReport,
    *,
    root: str | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    cache: str | None = None,
    slim: bool = False,
) -> dict:
    """Train seeds s, s + 1, ... of a recipe into `out`/seedS; returns and writes `seeds.json` with mean and deviation.

    Raises LongtailError for bad input, and for the first run that fails; the others keep their checkpoints.
    """
    if seeds < 1:
        raise LongtailError(f"seeds is {seeds}; it is the number of runs, at least 1")
    if get_world_size() > 1:
        raise LongtailError("--seeds trains side by side on one machine; under torchrun train one --seed a run")
    world, folder = init_world(device, threads), expand_path(out)
    count_workers(workers)  # refuses what is no number of them
    if workers:
        raise LongtailError(
            f"workers is {workers}; of several seeds each process decodes its own images; leave --workers out"
        )
    if folder.exists() and not resume:
        raise RunFolder(folder).already_exists_error()
    strange = [f.name for f in folder.glob("*") if not f.name.lstrip(".").startswith(("seed", "report.html"))]
    if strange or folder.is_file():
        raise LongtailError(
            f"{folder} is not a folder of several seeds' runs (it holds {strange}); choose another --out"
        )
    recipes = [recipe.change(seed=recipe.seed + i) for i in range(seeds)]
    others = sorted({f.name for f in folder.glob("seed*") if f.is_dir()} - {f"seed{r.seed}" for r in recipes})
    if others:
        raise LongtailError(
            f"{folder} holds {others[0]} too, which its summary would leave out; ask for as many --seeds"
        )
    where = {"root": root, "resume": resume, "device": str(world.device), "cache": cache, "slim": slim}
    train_in_processes(recipes, folder, report, threads, where)
    runs = [RunFolder.open(folder / f"seed{r.seed}") for r in recipes]
    summary = summarize_seeds([run.read_json("results.json") for run in runs])
    RunFolder(folder).write_json("seeds.json", summary)
    return summary


def summarize_seeds(results: list[dict]) -> dict:
    """Compute mean and sample standard deviation of every metric over the seeds, null where a seed has none.

    Results that only some methods or recipes have ("selected", "test_time") are listed, one entry for each seed.
    """

    def summarize_metrics(metrics: list[dict]) -> dict[str, dict | None]:
        return {name: _compute_spread([m[name] for m in metrics]) for name in metrics[0]}

    def summarize_all(how: str) -> dict:
        experts = range(len(results[0][how]["experts"]))
        return {
            "ensemble": summarize_metrics([r[how]["ensemble"] for r in results]),
            "experts": [summarize_metrics([r[how]["experts"][k] for r in results]) for k in experts],
        }

    head = {name: results[0][name] for name in ("method", "data", "epochs")}
    extras = {name: [r[name] for r in results] for name in ("selected", "test_time") if name in results[0]}
    return (
        head
        | {"seeds": [r["seed"] for r in results]}
        | {how: summarize_all(how) for how in ("plain", "flip", "five_crop") if how in results[0]}
        | extras
    )


def _compute_spread(found: list[float | None]) -> dict | None:
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return None
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else None}


def train_in_processes(
    recipes: list[Recipe],
    folder: Path,
    report: ProgressReport,
    threads: int | None,
    where: dict[str, Any],
) -> None:
    """Train the recipes in at most as many processes as cores, each process its share of them, one after another.

    `where` are further arguments of `launch.train`. On a CPU two single-threaded processes beat one with two threads.
    Raises LongtailError if a process fails.
    """
    context, cores = multiprocessing.get_context("spawn"), os.cpu_count() or 1
    processes = min(len(recipes), cores)
    messages = context.Queue()
    where = where | {"threads": threads or max(cores // processes, 1)}
    jobs = [(recipes[i::processes], folder, messages, where) for i in range(processes)]
    running = [context.Process(target=_train_share, args=job, daemon=True) for job in jobs]
    try:
        for process in running:
            process.start()
        while any(process.is_alive() for process in running):
            relay_messages(messages, report)
            if codes := [process.exitcode for process in running if process.exitcode]:
                relay_messages(messages, report)
                raise LongtailError(
                    f"a process of the seeds ended with exit code {codes[0]}; --resume goes on with them"
                )
        relay_messages(messages, report)
    finally:
        for process in running:
            if process.pid:
                process.terminate()


def relay_messages(messages: Any, report: ProgressReport) -> None:
    """Pass the messages of the processes on to a report; raises LongtailError if one of them failed."""
    try:
        while True:
            name, *arguments = messages.get(timeout=0.2)
            if name == "failed":
                raise LongtailError(*arguments)
            getattr(report, name)(*arguments)
    except queue.Empty:
        return


def _train_share(recipes: list[Recipe], folder: Path, messages: Any, where: dict[str, Any]) -> None:
    """Train recipes one after another in one child process; `where` are further arguments of `launch.train`."""
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    report = RemoteReport(messages)
    for recipe in recipes:
        try:
            out = folder / f"seed{recipe.seed}"
            train(recipe, out, report, **where)
        except LongtailError as error:
            messages.put(("failed", f"seed {recipe.seed}: {error}"))
            return
        except SystemExit:
            messages.cancel_join_thread()  # the parent is gone, so nobody reads them
            raise


class RemoteReport:
    """Sends the progress of runs to the parent process."""

    def __init__(self, messages: Any):
        self.messages, self.parent = messages, os.getppid()
        self.last_step = float("-inf")  # time of the last step that was sent

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None:
        self.messages.put(("begin", seed, title, epochs, steps))

    def note(self, text: str) -> None:
        self.messages.put(("note", text))

    def phase(self, text: str, seed: int | None = None) -> None:
        self.messages.put(("phase", text, seed))

    def progress(self, task: str, done: int, total: int) -> None:
        self.messages.put(("progress", task, done, total))

    def step(self, seed: int, epoch: int, done: int) -> None:
        if time.monotonic() - self.last_step >= 1:
            self.last_step = time.monotonic()
            self.messages.put(("step", seed, epoch, done))

    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None:
        if os.getppid() != self.parent:
            raise SystemExit("the parent process is gone")  # it was killed: nobody waits for this run
        self.messages.put(("advance", seed, epoch, steps, terms))

    def epoch(self, seed: int, row: dict) -> None:
        self.messages.put(("epoch", seed, row))

    def end(self, seed: int) -> None:
        self.messages.put(("end", seed))
