"""The numbers of a run for TensorBoard, where it is installed."""

import os
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO


class Tracker:
    """Writes the numbers of every epoch for TensorBoard; without folder or tensorboard, or after a failure, does nothing."""

    def __init__(self, folder: Path | None):
        self.folder, self.works = folder, folder is not None and find_spec("tensorboard") is not None
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
            assert self.folder
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
