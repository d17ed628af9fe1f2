"""Several seeds of one recipe, side by side, reported as one result: processes on a CPU, streams on a GPU."""

import multiprocessing
import os
import queue
import signal
import statistics
from pathlib import Path

import torch

from longtail.data import count_workers
from longtail.distributed import init_world, keep_freed_memory
from longtail.errors import LongtailError, expand_path
from longtail.launch import train
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
    train_in_processes(recipes, folder, report, root, resume, world.device, threads)
    runs = [RunFolder.open(folder / f"seed{r.seed}") for r in recipes]
    summary = summarize_seeds([run.read_json("results.json") for run in runs])
    RunFolder(folder).write_json("seeds.json", summary)
    return summary


def summarize_seeds(results: list[dict]) -> dict:
    """Mean and (sample) standard deviation of every number over the seeds, null where one is n/a.

    What only some methods or recipes have ("selected", "test_time") is listed, one entry a seed.
    """

    def over(*path: str | int) -> dict[str, dict | None]:
        found = results
        for step in path:
            found = [r[step] for r in found]
        return {name: _spread([r[name] for r in found]) for name in found[0]}

    def both(how: str) -> dict:
        experts = range(len(results[0][how]["experts"]))
        return {"ensemble": over(how, "ensemble"), "experts": [over(how, "experts", k) for k in experts]}

    head = {name: results[0][name] for name in ("method", "data", "epochs")}
    extras = {name: [r[name] for r in results] for name in ("selected", "test_time") if name in results[0]}
    return head | {"seeds": [r["seed"] for r in results], "plain": both("plain"), "flip": both("flip")} | extras


def _spread(values: list[float | None]) -> dict | None:
    if None in values:
        return None
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else None}


def train_in_processes(
    recipes: list[Recipe],
    folder: Path,
    report: ProgressReport,
    root: str | None,
    resume: bool,
    device: torch.device,
    threads: int | None,
) -> None:
    """As many processes as there are cores, each with its share of the seeds, which it trains one after another."""
    context, cores = multiprocessing.get_context("spawn"), os.cpu_count() or 1
    at_once = min(len(recipes), cores)
    messages, share = context.Queue(), threads or max(cores // at_once, 1)
    jobs = [(recipes[i::at_once], folder, messages, root, resume, str(device), share) for i in range(at_once)]
    running = [context.Process(target=_train_seeds, args=job, daemon=True) for job in jobs]
    try:
        for process in running:
            process.start()
        while any(process.is_alive() for process in running):
            relay_messages(messages, report)
            codes = [process.exitcode for process in running if process.exitcode]
            if codes:
                relay_messages(messages, report)
                raise LongtailError(
                    f"a process of the seeds ended with exit code {codes[0]}; --resume goes on with them"
                )
        relay_messages(messages, report)
    finally:
        for process in running:
            if process.pid:
                process.terminate()


def relay_messages(messages, report: ProgressReport) -> None:
    """Pass on what the processes tell; raises LongtailError if one of them failed."""
    try:
        while True:
            name, *arguments = messages.get(timeout=0.2)
            if name == "failed":
                raise LongtailError(*arguments)
            getattr(report, name)(*arguments)
    except queue.Empty:
        return


def _train_seeds(
    recipes: list[Recipe], folder: Path, messages, root: str | None, resume: bool, device: str, threads: int
) -> None:
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    report = RemoteReport(messages)
    try:
        for recipe in recipes:
            train(
                recipe, folder / f"seed{recipe.seed}", report, root=root, resume=resume, device=device, threads=threads
            )
    except LongtailError as error:
        messages.put(("failed", f"seed {recipe.seed}: {error}"))
    except SystemExit:
        messages.cancel_join_thread()  # nobody reads them any more
        raise


class RemoteReport:
    """Passes a run's reports to the parent process."""

    def __init__(self, messages):
        self.messages, self.parent = messages, os.getppid()

    def begin(self, *what) -> None:
        self.messages.put(("begin", *what))

    def note(self, *what) -> None:
        self.messages.put(("note", *what))

    def advance(self, *what) -> None:
        if os.getppid() != self.parent:
            raise SystemExit("the parent process is gone")  # killed: nobody waits for this run
        self.messages.put(("advance", *what))

    def epoch(self, *what) -> None:
        self.messages.put(("epoch", *what))

    def end(self, *what) -> None:
        self.messages.put(("end", *what))
