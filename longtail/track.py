"""Who follows a run: a report, and TensorBoard where it is installed, of which nothing that goes wrong ever ends a run."""

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol


class Report(Protocol):
    """Who is told how runs go; a seed tells several apart."""

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None: ...
    def note(self, text: str) -> None: ...
    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None: ...
    def epoch(self, seed: int, row: dict) -> None: ...
    def end(self, seed: int) -> None: ...


class Tracker:
    """Writes the numbers of every epoch below a folder; without tensorboard, or after a first failure, does nothing."""

    def __init__(self, folder: Path):
        self.folder, self.writer = folder, None
        self.works = find_spec("tensorboard") is not None

    def add(self, row: dict) -> None:
        """A row of `metrics.csv`: test_top1 becomes test/top1, lr stays, a loss term bc becomes train/bc."""
        if not self.works:
            return
        try:
            if self.writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self.writer = SummaryWriter(self.folder, purge_step=row["epoch"])  # of a killed run's later epochs
            for name, value in row.items():
                if isinstance(value, int | float) and name != "epoch":
                    self.writer.add_scalar(place_of(name), value, row["epoch"])
            self.writer.flush()
        except Exception:  # a full disk, a broken installation: the run matters more
            self.works = False

    def close(self) -> None:
        """Let go of the file."""
        if self.writer is not None:
            self.writer.close()


def place_of(name: str) -> str:
    """The group of curves that a column belongs to."""
    part, _, metric = name.partition("_")
    if part in ("test", "val"):
        return f"{part}/{metric}"
    return f"run/{name}" if name in ("lr", "seconds", "peak_memory_mb") else f"train/{name}"
