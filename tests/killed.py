"""`python tests/killed.py OUT KILLS SEED`: train one run in processes that are killed (kill -9) again and again.

Kills alternate between a random moment and the middle of writing a file; writing is slowed for that.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.tracking import SilentReport

EPOCHS = 10


def write_slowly(self: Path, content: bytes | memoryview) -> None:
    """Write as `Path.write_bytes`, with a pause in the middle in which a kill can come."""
    half = len(content) // 2
    with self.open("wb") as file:
        file.write(content[:half])
        file.flush()
        time.sleep(0.05)
        file.write(content[half:])


def train_to_the_end(out: Path) -> None:
    """Train the run from its last checkpoint to the end."""
    Path.write_bytes = write_slowly  # type: ignore[method-assign,assignment]  # in this process only
    recipe = recipe_for("digits-lt", method="ecl", epochs=EPOCHS, experts=2, eval_every=5)
    train(recipe, out, SilentReport(), resume=True, device="cpu", threads=1)


def wait_to_kill(pid: int, out: Path, generator: random.Random, while_writing: bool) -> bool:
    """Wait for the moment to kill, at most two epochs; return False if the process ends before."""
    deadline = time.monotonic() + generator.uniform(0.01, 1.5)
    skip, versions = generator.randrange(2), {get_version(out)}  # `skip` is a number of epochs
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        versions.add(get_version(out))
        has_skipped = len(versions) - 1 >= skip
        if while_writing and has_skipped and any(out.glob(".*.tmp")):
            return True
        if not while_writing and (time.monotonic() > deadline or len(versions) > 2):
            return True
        time.sleep(0.002)
    return False


def get_version(out: Path) -> int:
    """Return a number that differs for every checkpoint."""
    file = out / "checkpoint.pt"
    return file.stat().st_mtime_ns if file.exists() else 0


def main(out: Path, kills: int, seed: int) -> None:
    """Kill `kills` processes, then let one finish; print the number of kills, and of kills while writing."""
    generator, died, writing = random.Random(seed), 0, 0
    for number in range(10 * kills):
        pid = os.fork()
        if pid == 0:
            train_to_the_end(out)
            os._exit(0)
        if died == kills:
            _, status = os.waitpid(pid, 0)
            print(died, writing)
            raise SystemExit(status)
        if not wait_to_kill(pid, out, generator, number % 2 == 1):
            break
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        died, writing = died + 1, writing + bool(list(out.glob(".*.tmp")))
    print(died, writing)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
