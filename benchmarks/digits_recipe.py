"""The search for the digits recipe: on held-out training images only, never on the test subset."""

import argparse
import statistics
import tempfile
from itertools import product
from typing import Any

import numpy as np
import torch

from benchmarks.harness import count, parse_value
from longtail.data import ClassTable, Split, TensorImages, exponential_counts, long_tailed_indices
from longtail.data.sources import DIGITS_LARGEST, load_split
from longtail.distributed import init_world
from longtail.errors import LongtailError
from longtail.evaluate import evaluate_subset
from longtail.recipes import recipe_for
from longtail.runs.folder import RunFolder
from longtail.stages import build_loader, plan_stages
from longtail.tracking import SilentReport
from longtail.trainer import Trainer

HELD_OUT = 40  # images of each class of the training pool; the other 64 become a long-tailed subset


def training_side(imbalance: float) -> Split:
    """Split the training pool of digits-lt into a long-tailed training subset and a balanced subset to choose by."""
    pool = load_split("digits-lt", 1).train
    assert isinstance(pool, TensorImages)
    counts = exponential_counts(10, DIGITS_LARGEST - HELD_OUT, imbalance)
    order = np.reshape(np.asarray(long_tailed_indices(pool.labels.tolist(), [DIGITS_LARGEST] * 10, seed=1)), (10, -1))
    held, rest = order[:, :HELD_OUT].ravel(), order[:, HELD_OUT:]
    kept = np.concatenate([rest[c, :n] for c, n in enumerate(counts)])
    train, val = (TensorImages(pool.images[rows], pool.labels[rows]) for rows in (kept, held))
    return Split("digits-lt", ClassTable.from_labels([str(c) for c in range(10)], train.labels), train, val)


def score(split: Split, method: str, seed: int, **changes: Any) -> dict:
    """Train a method and return its metrics on the held-out training images."""
    recipe = recipe_for("digits-lt", method=method, seed=seed, eval_every=0, **changes)
    torch.manual_seed(seed)
    model = recipe.build_method(split.classes.counts)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.claim(f"{folder}/run", recipe, split, resume=False)
        world = init_world("cpu", 1)
        plans, loader = plan_stages(model.stages(), recipe.epochs), build_loader(recipe, model, split, world)
        trainer = Trainer(recipe, model, split, plans, loader, run, SilentReport(), world)
        with world.session():
            for plan in plans:
                trainer.run_stage(plan, None)
    return evaluate_subset(model, split, recipe)


def main(argv: list[str]) -> None:
    """Print mean and standard deviation over the seeds for every setting of the grid."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks digits_recipe", description=__doc__)
    parser.add_argument("method", choices=("ce", "bc", "ecl"))
    parser.add_argument("--seeds", type=count(2), default=5)
    parser.add_argument("--imbalance", type=float, default=50)
    parser.add_argument(
        "settings", nargs="*", help="name=value[,value...] of recipe fields and options; the grid is their product"
    )
    args = parser.parse_intermixed_args(argv)
    if wrong := [setting for setting in args.settings if "=" not in setting]:
        raise LongtailError(f"{wrong[0]} is no setting; write name=value or name=value,value")
    split = training_side(args.imbalance)
    names, values = zip(*(s.split("=") for s in args.settings), strict=True) if args.settings else ((), ())
    for chosen in product(*([parse_value(v) for v in vs.split(",")] for vs in values)):
        changes = dict(zip(names, chosen, strict=True))
        scores = [score(split, args.method, seed, imbalance=args.imbalance, **changes) for seed in range(args.seeds)]
        cells = [
            f"{m} {statistics.mean(score[m] for score in scores):.1f} +- {statistics.stdev(score[m] for score in scores):.1f}"
            for m in ("test_top1", "test_few", "test_ece")
        ]
        print(args.method, changes, "  ".join(cells), flush=True)
