"""Several seeds of one recipe: side by side with one thread each, against one after another with all threads."""

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.harness import compare, count, save
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.seeds import train_seeds
from longtail.tracking import SilentReport


def main(argv: list[str]) -> None:
    """Check that a seed gives the same model either way, then time whole runs with the start of their processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks seeds", description=__doc__)
    parser.add_argument("--seeds", type=count(), default=4)
    parser.add_argument("--epochs", type=count(), default=40)
    parser.add_argument("--rounds", type=count(), default=3)
    args = parser.parse_args(argv)
    recipe, threads = recipe_for("digits-lt", epochs=args.epochs, eval_every=0), torch.get_num_threads()

    def one_by_one(threads: int = threads) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            for s in range(args.seeds):
                train(recipe.change(seed=s), f"{folder}/{s}", SilentReport(), threads=threads)
            return [Path(folder, str(s), "results.json").read_text() for s in range(args.seeds)]

    def side_by_side() -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            train_seeds(recipe, args.seeds, f"{folder}/all", SilentReport(), threads=1)
            return [(Path(folder) / "all" / f"seed{s}" / "results.json").read_text() for s in range(args.seeds)]

    same = one_by_one(threads=1) == side_by_side()
    assert same or torch.cuda.is_available(), "a seed gave another model side by side"  # cuDNN sums in no fixed order
    torch.set_num_threads(threads)
    save("seeds", compare({"one by one": one_by_one, "side by side": side_by_side}, args.rounds) | vars(args))
