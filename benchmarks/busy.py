"""Training steps with and without a busy neighbor: one or two threads, and how libgomp's threads wait."""

import argparse
import functools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from benchmarks.harness import count, save, spread
from longtail.augment import get_transform_set
from longtail.data import Batch, exponential_counts
from longtail.recipes import recipe_for
from longtail.step import Step

SETTINGS: dict[str, dict[str, str]] = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "default": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "spin 0": {"GOMP_SPINCOUNT": "0"},
    "spin 1000": {"GOMP_SPINCOUNT": "1000"},
    "spin 10000": {"GOMP_SPINCOUNT": "10000"},
}
WORK = {"digits-lt": (10, 20), "cifar100-lt": (100, 1)}  # classes, steps a round


def build_step(data: str) -> tuple[Step, Batch]:
    """Build a step of ECL with the recipe of a data set, and a batch of random images."""
    recipe, (classes, _) = recipe_for(data), WORK[data]
    torch.manual_seed(0)
    transform_set = get_transform_set(recipe.views)
    method = recipe.build_method(exponential_counts(classes, 500, 100)).train()
    step = Step(method, [{"params": [p for p in method.parameters() if p.requires_grad]}], recipe, transform_set)
    shape = (recipe.batch_size, 3, transform_set.size, transform_set.size)
    views = [torch.randint(0, 256, shape, dtype=torch.uint8) for _ in method.views]
    n = recipe.batch_size
    return step, Batch(views, torch.randint(0, classes, (n,)), torch.arange(n), torch.zeros(()))


def serve() -> None:
    """Run the steps that each line of standard input names, and print their wall and CPU seconds a step."""
    build = functools.cache(build_step)
    for line in sys.stdin:
        data, steps = line.split()
        step, batch = build(data)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(int(steps)):
            step([batch], 0.0)
        step.pop_sums()
        print((time.perf_counter() - wall) / int(steps), (time.process_time() - cpu) / int(steps), flush=True)


@contextmanager
def start_server(environment: dict[str, str]) -> Iterator[Any]:
    """Start a process that serves steps, with libgomp set by environment variables before torch is loaded."""
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    clean = {key: value for key, value in os.environ.items() if key not in names}
    command = [sys.executable, "-m", "benchmarks", "busy", "--serve"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=clean | environment, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def burn(processes: int, seconds: int) -> Iterator[None]:
    """Keep cores busy within the block by processes of one thread, which end by themselves after some seconds."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def ask(server: Any, data: str, steps: int) -> tuple[float, float]:
    """Let a server run steps; returns wall and CPU seconds a step."""
    server.stdin.write(f"{data} {steps}\n")
    server.stdin.flush()
    wall, cpu = server.stdout.readline().split()
    return float(wall), float(cpu)


def measure(servers: dict[str, Any], data_sets: list[str], rounds: int, limit: float) -> dict:
    """Measure all settings in turn, round by round until the limit in seconds; returns their spreads by data set."""
    end = time.monotonic() + limit
    times: dict[str, dict[str, list]] = {data: {name: [] for name in servers} for data in data_sets}
    for _ in range(rounds):
        for data in data_sets:
            steps = WORK[data][1]
            for name, server in servers.items():
                if time.monotonic() < end:
                    times[data][name].append(ask(server, data, steps))
                    wall, cpu = times[data][name][-1]
                    print(f"{data:<12} {name:<10}  wall {wall:.3f} s  cpu {cpu:.3f} s", flush=True)
    return {
        data: {
            name: {"rounds": len(found), "wall": spread([w for w, _ in found]), "cpu": spread([c for _, c in found])}
            for name, found in by_name.items()
            if found
        }
        for data, by_name in times.items()
    }


def main(argv: list[str]) -> None:
    """Start a process for every setting, and measure them in turn beside 0 and more burners."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks busy", description=__doc__)
    parser.add_argument("--rounds", type=count(), default=5)
    parser.add_argument("--burners", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--limit", type=float, default=300, help="seconds of each row of burners")
    parser.add_argument("--only", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--data", nargs="*", default=list(WORK), choices=list(WORK))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.serve:
        return serve()
    record: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = {}
        for name in args.only:  # one after another, so that no two compute at a time
            servers[name] = stack.enter_context(start_server(SETTINGS[name]))
            for data in args.data:
                ask(servers[name], data, 1)
        for burners in args.burners:
            with burn(burners, round(args.limit) + 60):
                found = measure(servers, args.data, args.rounds, args.limit)
            record[f"{burners} burners"] = {"load_average": os.getloadavg()[0]} | found
            for data, by_name in found.items():
                for name, values in by_name.items():
                    times = "  ".join(f"{kind} {1000 * values[kind]['median']:8.1f} ms" for kind in ("wall", "cpu"))
                    print(f"{burners} burners  {data:<12} {name:<10}  {times}", flush=True)
    save("busy", record)
    return None
