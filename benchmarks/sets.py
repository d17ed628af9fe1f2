"""Prediction sets on frozen Caltech-101 with a tail of 100: few-shot coverage and size by score and by threshold."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import save

COVERAGE, IMBALANCE = 0.9, 100.0
Thresholds = Callable[[Tensor, Tensor, int], Tensor | float]


def pool(scores: Tensor, labels: Tensor, classes: int) -> float:
    """Return one threshold for all classes."""
    from longtail.metrics import conformal_threshold

    return conformal_threshold(scores, COVERAGE)


def separate(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return a threshold for each class, inf where it has too few images."""
    from longtail.metrics import mondrian_thresholds

    return mondrian_thresholds(scores, labels, classes, COVERAGE)


def interpolate(scores: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the thresholds of Interp-Q with weight .9."""
    from longtail.metrics import interpolate_thresholds, largest_score

    own, pooled = separate(scores, labels, classes), pool(scores, labels, classes)
    return interpolate_thresholds(own, pooled, 0.9, largest_score("pas", classes))


ROWS: dict[str, tuple[str, Thresholds | None]] = {
    "softmax, all classes": ("lac", pool),
    "PAS, all classes": ("pas", pool),
    "PAS, by group": ("pas", None),
    "PAS, Interp-Q .9": ("pas", interpolate),
    "softmax, class by class": ("lac", separate),
}


def measure(root: str, method: str, seed: int, draws: int, cache: str | None) -> tuple[dict[str, np.ndarray], dict]:
    """Train a head and return (draws, 3) for each row: few-shot and all coverage in percent, and mean size; and facts.

    A draw calibrates on a random half of the test images and tests on the other half.
    """
    from longtail import api
    from longtail.features import load_test_features
    from longtail.inference.calibrate import compute_image_logits
    from longtail.inference.calibration import Priors, compute_scores
    from longtail.launch import train
    from longtail.metrics import fit_temperature, mondrian_thresholds
    from longtail.recipes import recipe_for
    from longtail.tracking import PrintReport

    with tempfile.TemporaryDirectory() as folder:
        recipe = recipe_for("caltech101", "frozen", method=method, seed=seed, imbalance=IMBALANCE, eval_every=0)
        run = train(recipe, Path(folder) / "run", PrintReport(), root=root, threads=1, cache=cache)
        model = api.load(run.path, threads=1)
        images = load_test_features(model.run, model.run.load_data().test)
        logits = compute_image_logits(model.run, model.method, images).mean(0)
    labels, priors, classes = images.labels, Priors.from_method(model.method), len(model.classes)
    groups = model.run.classes.groups
    group = torch.tensor([("many", "medium", "few").index(name) for name in groups])
    is_few = group == 2
    found: dict[str, list] = {name: [] for name in ROWS}
    behind = []
    for draw in range(draws):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1000 * seed + draw))
        ours, theirs = order.split([len(order) // 2, len(order) - len(order) // 2])
        y, counts = labels[ours], torch.bincount(labels[ours], minlength=classes)
        behind.append((counts < 9).sum().item())
        prior = (counts + 0.5) / (counts + 0.5).sum()
        temperature = fit_temperature(logits[ours], y, priors.correct(prior.log()))
        for name, (score, take) in ROWS.items():
            scores = compute_scores(logits, score, temperature, priors)
            s = scores[ours].gather(1, y.unsqueeze(1)).squeeze(1)
            q = take(s, y, classes) if take else mondrian_thresholds(s, group[y], 3, COVERAGE)[group]
            sets = scores[theirs] <= q
            is_in = sets.gather(1, labels[theirs].unsqueeze(1)).squeeze(1).double()
            by_class = [is_in[labels[theirs] == c].mean().item() for c in is_few.nonzero().flatten().tolist()]
            found[name].append(
                [100 * np.nanmean(by_class), 100 * is_in.mean().item(), sets.sum(1).double().mean().item()]
            )
    facts = {"few_classes": int(is_few.sum()), "classes_below_9": float(np.mean(behind)), "images": len(labels) // 2}
    return {name: np.array(values) for name, values in found.items()}, facts


def main(argv: list[str]) -> None:
    """Measure, print a row for each kind of set, and save all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sets", description=__doc__)
    parser.add_argument("root", help="folder that holds caltech101/train and caltech101/test")
    parser.add_argument("--methods", nargs="+", default=["ce", "bc", "logit_adjustment"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--cache", help="folder of cached features")
    options = parser.parse_args(argv)
    record = {}
    for method in options.methods:
        runs = [measure(options.root, method, seed, options.draws, options.cache) for seed in range(options.seeds)]
        facts = runs[0][1]
        print(
            f"{method}: {facts['images']:,} calibration images, {facts['classes_below_9']:.0f} of 101 classes below 9; "
            f"few-shot coverage (mean of {facts['few_classes']} classes), coverage of all images, classes in a set"
        )
        record[method] = facts
        for name in ROWS:
            few, every, size = np.concatenate([found[name] for found, _ in runs]).mean(0)
            record[method][name] = {"few": few, "all": every, "size": size}
            print(f"  {name:<24} {few:5.1f} %  {every:5.1f} %  {size:6.2f}")
    save("sets", {"coverage": COVERAGE, "seeds": options.seeds, "draws": options.draws, "methods": record})
