"""Following a run: progress reports, and TensorBoard where it is installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol


class Stopped(Exception):
    """The caller asked a run to stop; every finished epoch is kept."""


class ProgressReport(Protocol):
    """Receives the progress of runs, told apart by their seeds."""

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None: ...
    def note(self, text: str) -> None: ...
    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None: ...
    def epoch(self, seed: int, row: dict) -> None: ...
    def end(self, seed: int) -> None: ...


class SilentReport:
    """Ignores all progress."""

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None: ...
    def note(self, text: str) -> None: ...
    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None: ...
    def epoch(self, seed: int, row: dict) -> None: ...
    def end(self, seed: int) -> None: ...


class PrintReport(SilentReport):
    """Prints a line when a run begins, for each note, and after each epoch."""

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None:
        print(title)

    def note(self, text: str) -> None:
        print(text)

    def epoch(self, seed: int, row: dict) -> None:
        tested = f", test top-1 {row['test_top1']:.1f} %" if row.get("test_top1") is not None else ""
        print(f"epoch {row['epoch']}: loss {row['loss']:.3f}{tested}, {row['seconds']:.1f} s")


class Tracker:
    """Writes the numbers of every epoch for TensorBoard; without tensorboard, or after a first failure, does nothing."""

    def __init__(self, folder: Path):
        self.folder, self.works = folder, find_spec("tensorboard") is not None
        self.writer: Any = None

    def add(self, row: dict) -> None:
        """Write a row of `metrics.csv`."""
        if not self.works:
            return
        try:
            if self.writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self.writer = SummaryWriter(self.folder, purge_step=row["epoch"])  # drops later epochs of a killed run
            for name, value in row.items():
                if isinstance(value, int | float) and name != "epoch":
                    self.writer.add_scalar(tensorboard_tag(name), value, row["epoch"])
            self.writer.flush()
        except Exception:  # a full disk or a broken installation must not end a run
            self.works = False

    def close(self) -> None:
        """Close the event file."""
        if self.writer is not None:
            self.writer.close()


def tensorboard_tag(name: str) -> str:
    """Return the tag of a column of `metrics.csv`: test_top1 -> test/top1, lr -> run/lr, a loss term bc -> train/bc."""
    subset, _, metric = name.partition("_")
    if subset in ("test", "val"):
        return f"{subset}/{metric}"
    return f"run/{name}" if name in ("lr", "seconds", "peak_memory_mb") else f"train/{name}"
