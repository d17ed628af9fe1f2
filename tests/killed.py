"""Train one run in processes that are killed (kill -9) again and again; `python tests/killed.py OUT KILLS SEED`.

Every other one is killed at a random moment, every other one in the middle of a file's writing, which is slowed for it.
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
    """As `Path.write_bytes`, with time to be killed in between."""
    half = len(content) // 2
    with self.open("wb") as file:
        file.write(content[:half])
        file.flush()
        time.sleep(0.05)
        file.write(content[half:])


def life(out: Path) -> None:
    """One process of the run, from where the last one was killed to the end."""
    Path.write_bytes = write_slowly
    recipe = recipe_for("digits-lt", method="ecl", epochs=EPOCHS, experts=2, eval_every=5)
    train(recipe, out, SilentReport(), resume=True, device="cpu", threads=1)


def wait(pid: int, out: Path, chance: random.Random, while_writing: bool) -> bool:
    """Wait for the moment to kill, at most two epochs; False if the process ended before it."""
    until = time.monotonic() + chance.uniform(0.01, 1.5)
    skip, kept = chance.randrange(2), {written(out)}  # epochs to live through
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        kept.add(written(out))
        lived = len(kept) - 1 >= skip
        if while_writing and lived and any(out.glob(".*.tmp")):
            return True
        if not while_writing and (time.monotonic() > until or len(kept) > 2):
            return True
        time.sleep(0.002)
    return False


def written(out: Path) -> int:
    """Another number for every checkpoint."""
    file = out / "checkpoint.pt"
    return file.stat().st_mtime_ns if file.exists() else 0


def main(out: Path, kills: int, seed: int) -> None:
    """Kill so many processes, then let one come to the end; prints how many died, and how many of them while writing."""
    chance, died, writing = random.Random(seed), 0, 0
    for number in range(10 * kills):
        pid = os.fork()
        if pid == 0:
            life(out)
            os._exit(0)
        if died == kills:
            _, status = os.waitpid(pid, 0)
            print(died, writing)
            raise SystemExit(status)
        if not wait(pid, out, chance, number % 2 == 1):
            break
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        died, writing = died + 1, writing + bool(list(out.glob(".*.tmp")))
    print(died, writing)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
