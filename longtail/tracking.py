"""Following a run: progress reports."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Protocol, Self

from longtail.errors import escape_controls

LINE_SECONDS = 10  # least time between the lines of two epochs in a log file
SILENCE_SECONDS = 30  # longest time without a line
UNITS = ((3600, "h"), (60, "min"))


class Stopped(Exception):
    """The caller asked a run to stop; every finished epoch is kept."""


class ProgressReport(Protocol):
    """Receives the progress of runs, told apart by their seeds. `steps` of `begin` counts all epochs of a run."""

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None: ...
    def note(self, text: str) -> None: ...
    def phase(self, text: str, seed: int | None = None) -> None: ...
    def progress(self, task: str, done: int, total: int) -> None: ...
    def step(self, seed: int, epoch: int, done: int) -> None: ...
    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None: ...
    def epoch(self, seed: int, row: dict) -> None: ...
    def end(self, seed: int) -> None: ...


class SilentReport:
    """Ignores all progress."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...
    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None: ...
    def note(self, text: str) -> None: ...
    def phase(self, text: str, seed: int | None = None) -> None: ...
    def progress(self, task: str, done: int, total: int) -> None: ...
    def step(self, seed: int, epoch: int, done: int) -> None: ...
    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None: ...
    def epoch(self, seed: int, row: dict) -> None: ...
    def end(self, seed: int) -> None: ...


@dataclass
class Place:
    """The place of a run: its epochs and steps, the epoch and step it is at, and the phase if it does not train."""

    epochs: int
    steps: int
    epoch: int = 0
    done: int = 0  # steps of this epoch
    phase: str = ""
    accuracy: str = ""
    start: tuple[float, int] | None = None  # time and steps of all epochs at the first step of this process

    @property
    def steps_per_epoch(self) -> int:
        """Return the steps of an epoch."""
        return self.steps // self.epochs

    @property
    def total(self) -> int:
        """Return the steps done of all epochs."""
        return max(self.epoch - 1, 0) * self.steps_per_epoch + self.done

    def time_left(self) -> str:
        """Return the time left, with two spaces in front; "" before a step is timed, and at the end."""
        began, first = self.start or (0.0, self.total)
        if not first < self.total < self.steps:
            return ""
        seconds = (time.monotonic() - began) / (self.total - first) * (self.steps - self.total)
        return f"  {format_duration(seconds)} left"


class PrintReport(SilentReport):
    """Prints plain lines: titles, notes, phases, epochs 10 s apart, and after 30 s of silence where every run is.

    A thread prints the last kind, within the block of a `with` statement.
    """

    def __init__(self, say: Callable[[str], None] = print):
        self.say, self.last_line = say, time.monotonic()
        self.texts: set[str] = set()
        self.doing = "reading the data"
        self.runs: dict[int, Place] = {}
        self.is_over = Event()
        self.thread = Thread(target=self.watch, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over.set()
        self.thread.join()

    def watch(self) -> None:
        """Break every silence until the block ends, or nobody can read the lines."""
        with suppress(OSError, SystemExit):  # the main thread meets the same fault, and reports it
            while not self.is_over.wait(1):
                self.break_silence()

    def break_silence(self) -> None:
        """Print where every run is, if nothing was printed for 30 seconds."""
        if time.monotonic() - self.last_line < SILENCE_SECONDS:
            return
        lines = [format_place(seed, place) for seed, place in list(self.runs.items())]
        for line in lines or [self.doing]:
            self.print(line)

    def print(self, text: str) -> None:
        self.last_line = time.monotonic()
        self.say(escape_controls(text))

    def print_once(self, text: str) -> None:
        """Print a text, unless another seed has already printed the same one."""
        if text not in self.texts:
            self.print(text)
        self.texts.add(text)

    def is_due(self, run: Place) -> bool:
        """Return whether a run is in its last epoch, or the last line is 10 seconds old."""
        return run.epoch == run.epochs or time.monotonic() - self.last_line >= LINE_SECONDS

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None:
        self.runs[seed] = Place(epochs, steps)
        for line in title.splitlines():
            self.print_once(line)

    def note(self, text: str) -> None:
        self.print_once(text)

    def progress(self, task: str, done: int, total: int) -> None:
        self.doing = f"{task}: {done:,} of {total:,}"
        if done == total or time.monotonic() - self.last_line >= LINE_SECONDS:
            self.print(self.doing)

    def phase(self, text: str, seed: int | None = None) -> None:
        if seed is None:
            self.doing = text
            self.print(text)
            return
        run = self.runs[seed]
        run.phase = text
        if self.is_due(run):
            self.print(format_place(seed, run))

    def step(self, seed: int, epoch: int, done: int) -> None:
        run = self.runs[seed]
        run.epoch, run.done, run.phase = epoch, done, ""
        run.start = run.start or (time.monotonic(), run.total)

    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None:
        self.runs[seed].epoch = epoch  # the first of a resumed run

    def epoch(self, seed: int, row: dict) -> None:
        run, names = self.runs[seed], list(row)
        run.epoch, run.done, run.phase = row["epoch"], run.steps_per_epoch, ""
        if row.get("test_top1") is not None:
            run.accuracy = f"  top-1 {row['test_top1']:.1f} (epoch {row['epoch']})"
        if self.is_due(run):
            terms = {name: row[name] for name in names[names.index("loss") : names.index("peak_memory_mb")]}
            texts = format_terms(terms), run.accuracy, f"  {format_duration(row['seconds'])}", run.time_left()
            self.print(f"seed {seed} epoch {run.epoch}/{run.epochs}  {''.join(texts)}")

    def end(self, seed: int) -> None:
        self.runs.pop(seed, None)


def format_place(seed: int, run: Place) -> str:
    """Format the epoch of a run with its phase or, in training, with its step and the time left."""
    if not run.epoch:
        return f"seed {seed}, {run.phase or 'before the first step'}"
    where = run.phase or f"step {run.done} of {run.steps_per_epoch}{run.time_left()}"
    return f"seed {seed} epoch {run.epoch}/{run.epochs}, {where}"


def format_terms(terms: dict[str, float]) -> str:
    """Format loss terms on one line: name and value of each."""
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())


def format_duration(seconds: float) -> str:
    """Format a time: in minutes over two minutes, in hours over two hours, with three digits at most."""
    size, unit = next((entry for entry in UNITS if seconds > 2 * entry[0]), (1, "s"))
    number = seconds / size
    return f"{number:.{(number < 10) + (number < 1)}f} {unit}"
