"""Following a run: progress reports, and TensorBoard where it is installed."""

import os
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Protocol

from longtail.errors import escape_controls


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
        print(escape_controls(title))

    def note(self, text: str) -> None:
        print(escape_controls(text))

    def epoch(self, seed: int, row: dict) -> None:
        tested = f", test top-1 {row['test_top1']:.1f} %" if row.get("test_top1") is not None else ""
        print(f"epoch {row['epoch']}: loss {row['loss']:.3f}{tested}, {row['seconds']:.1f} s")


class Tracker:
    """Writes the numbers of every epoch for TensorBoard; without tensorboard, or after a first failure, does nothing."""

    def __init__(self, folder: Path):
        self.folder, self.works = folder, find_spec("tensorboard") is not None
        self.file: IO[bytes] | None = None

    def add(self, row: dict) -> None:
        """Write a row of `metrics.csv`."""
        if not self.works:
            return
        try:
            self.write(row)
        except Exception:  # a full disk or a broken installation must not end a run
            self.works = False

    def write(self, row: dict) -> None:
        """Append a row to the event file, which the first row opens; raises whatever fails.

        torch's SummaryWriter writes in a thread, and a thread that cannot write prints a traceback.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        events, now = [], time.time()
        if self.file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.file = (self.folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}").open("xb")
            start = SessionLog(status=SessionLog.START)  # drops the epochs from this one on of a killed run
            events = [Event(wall_time=now, file_version="brain.Event:2")]
            events += [Event(wall_time=now, step=row["epoch"], session_log=start)]
        scalars = {k: v for k, v in row.items() if isinstance(v, int | float) and k != "epoch"}
        values = [Summary.Value(tag=tensorboard_tag(name), simple_value=value) for name, value in scalars.items()]
        events += [Event(wall_time=now, step=row["epoch"], summary=Summary(value=values))]
        writer = RecordWriter(self.file)
        for event in events:
            writer.write(event.SerializeToString())
        self.file.flush()

    def close(self) -> None:
        """Close the event file."""
        if self.file is not None:
            with suppress(OSError):  # of a full disk
                self.file.close()


def tensorboard_tag(name: str) -> str:
    """Return the tag of a column of `metrics.csv`: test_top1 -> test/top1, lr -> run/lr, a loss term bc -> train/bc."""
    subset, _, metric = name.partition("_")
    if subset in ("test", "val"):
        return f"{subset}/{metric}"
    return f"run/{name}" if name in ("lr", "seconds", "peak_memory_mb") else f"train/{name}"
