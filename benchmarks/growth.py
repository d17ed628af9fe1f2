"""Time and memory of training as images, experts, classes and epochs grow; each point in a new process."""

import argparse
import json
import subprocess
import sys
import time

from benchmarks.harness import save

BASE = {"images": 1024, "experts": 3, "classes": 100, "epochs": 1}
GROWN = {"images": [512, 1024, 2048, 4096], "experts": [1, 2, 3, 6], "classes": [10, 100, 1000], "epochs": [1, 10, 30]}


def measure(images: int, experts: int, classes: int, epochs: int) -> dict:
    """Measure one training: median seconds of an epoch after a warm-up epoch, and peak memory."""
    from benchmarks.epoch import random_split
    from benchmarks.step import get_views
    from longtail.augment import get_transform_set
    from longtail.data import Loader
    from longtail.distributed import init_world
    from longtail.recipes import recipe_for
    from longtail.step import Step

    world = init_world("cpu", 1)
    split = random_split(images, classes)
    recipe = recipe_for("cifar100-lt", net="resnet8", experts=experts)
    method = recipe.build_method(split.classes.counts).train()
    transform_set = get_transform_set("cifar")
    views = get_views("cifar", method.views)
    loader = Loader(split, views, 64, 0, world.device, world.chunk_size(transform_set.size))
    step = Step(method, [{"params": [p for p in method.parameters() if p.requires_grad]}], recipe, transform_set)
    seconds, memory = [], []
    for epoch in range(epochs + 1):  # the first one warms up
        began = time.perf_counter()
        for (chunk,) in loader.epoch(epoch):
            for i in range(len(chunk)):
                step([chunk.batch(i, step.progress)], 0.5)
            step.pop_sums()
        seconds.append(time.perf_counter() - began)
        memory.append(world.peak_memory() / 2**20)
    timed = sorted(seconds[1:])
    return {"seconds": timed[len(timed) // 2], "peak_mb": memory[-1], "first_epoch_peak_mb": memory[0]}


def main(argv: list[str]) -> None:
    """Measure every point, print a row for each, and save all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks growth", description=__doc__)
    parser.add_argument("--point", help="measure one point, given as JSON, and print it")
    args = parser.parse_args(argv)
    if args.point:
        print(json.dumps(measure(**json.loads(args.point))))
        return
    record: dict[str, dict] = {}
    for name, values in GROWN.items():
        for value in values:
            point = json.dumps(BASE | {name: value} | ({"images": 512} if name == "epochs" else {}))
            command = [sys.executable, "-m", "benchmarks", "growth", "--point", point]
            row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            record.setdefault(name, {})[value] = row
            print(
                f"{name} {value:>5}: {row['seconds']:7.2f} s/epoch, peak {row['peak_mb']:6.0f} MB",
                flush=True,
            )
    save("growth", record)
