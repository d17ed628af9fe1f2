"""How the digits recipe was chosen: on training-side images only, the test part is never looked at."""

import argparse
import statistics
import tempfile
from itertools import product

import numpy as np
import torch

from longtail.data import ClassTable, Split, TensorImages, exponential_counts, long_tailed_indices
from longtail.data.sources import DIGITS_LARGEST, load_split
from longtail.distributed import init_world
from longtail.evaluate import evaluate_subset
from longtail.recipes import recipe_for
from longtail.runs.folder import RunFolder
from longtail.stages import build_loader, plan_stages
from longtail.tracking import SilentReport
from longtail.trainer import Trainer

HELD_OUT = 40  # images a class of the training pool; the remaining 64 are made long-tailed


def training_side(imbalance: float) -> Split:
    """The training pool of digits-lt, divided into a long-tailed part and a balanced one to choose by."""
    pool = load_split("digits-lt", 1).train
    counts = exponential_counts(10, DIGITS_LARGEST - HELD_OUT, imbalance)
    order = np.reshape(long_tailed_indices(pool.labels, [DIGITS_LARGEST] * 10, seed=1), (10, -1))
    held, rest = order[:, :HELD_OUT].ravel(), order[:, HELD_OUT:]
    kept = np.concatenate([rest[c, :n] for c, n in enumerate(counts)])
    parts = [TensorImages(pool.images[rows], pool.labels[rows]) for rows in (kept, held)]
    return Split("digits-lt", ClassTable.from_labels([str(c) for c in range(10)], parts[0].labels), *parts)


def score(split: Split, method: str, seed: int, **changes) -> dict:
    """Top-1 and few-shot accuracy on the held-out training images."""
    recipe = recipe_for("digits-lt", method=method, seed=seed, eval_every=0, **changes)
    torch.manual_seed(seed)
    built = recipe.build_method(split.classes.counts)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.claim(f"{folder}/run", recipe, split, resume=False)
        world = init_world("cpu", 1)
        plans, loader = plan_stages(built.stages(), recipe.epochs), build_loader(recipe, built, split, world)
        trainer = Trainer(recipe, built, split, plans, loader, run, SilentReport(), world)
        with world.session():
            for plan in plans:
                trainer.run_stage(plan, None)
    return evaluate_subset(built, split, recipe)


def main(argv: list[str]) -> None:
    """Print mean and deviation over the seeds for every setting of the grid."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks digits_recipe", description=__doc__)
    parser.add_argument("method", choices=("ce", "bc", "ecl"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--imbalance", type=float, default=50)
    parser.add_argument(
        "settings", nargs="*", help="name=value[,value...] of recipe fields and options; the grid is their product"
    )
    args = parser.parse_intermixed_args(argv)
    split = training_side(args.imbalance)
    names, values = zip(*(s.split("=") for s in args.settings), strict=True) if args.settings else ((), ())
    for chosen in product(*([float(v) if "." in v or "e" in v else int(v) for v in vs.split(",")] for vs in values)):
        changes = dict(zip(names, chosen, strict=True))
        found = [score(split, args.method, seed, imbalance=args.imbalance, **changes) for seed in range(args.seeds)]
        cells = [
            f"{m} {statistics.mean(f[m] for f in found):.1f} +- {statistics.stdev(f[m] for f in found):.1f}"
            for m in ("test_top1", "test_few", "test_ece")
        ]
        print(args.method, changes, "  ".join(cells), flush=True)
