"""Prediction sets on frozen Caltech-101 with a tail of 100: few-shot coverage and size by score and by threshold."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import count, save

if TYPE_CHECKING:
    from longtail.api import Model

COVERAGE = 0.9
IMBALANCE, IMBALANCE_BESIDE_VAL = 100.0, 80.0  # a held-out part leaves too few images for a tail of 100
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


def load_logits(
    root: str, method: str, seed: int, val_share: float, cache: str | None
) -> tuple["Model", tuple[Tensor, Tensor], tuple[Tensor, Tensor] | None]:
    """Train a head; return it with logits (N, C) and labels (N,) of the test images and of the validation part, if any."""
    from longtail import api
    from longtail.features import load_test_features
    from longtail.inference.calibrate import compute_image_logits
    from longtail.launch import train
    from longtail.recipes import recipe_for
    from longtail.tracking import SilentReport

    imbalance = IMBALANCE_BESIDE_VAL if val_share else IMBALANCE
    changes = {"method": method, "seed": seed, "imbalance": imbalance, "eval_every": 0, "val_share": val_share}
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            recipe_for("caltech101", "frozen", **changes),
            Path(folder) / "run",
            SilentReport(),
            root=root,
            threads=1,
            cache=cache,
        )
        model = api.load(run.path, threads=1)
        split, found = model.run.load_data(), []
        for subset in (split.test, split.val):
            if subset is not None:
                features = load_test_features(model.run, subset)
                found.append((compute_image_logits(model.run, model.method, features).mean(0), features.labels))
    return model, found[0], found[1] if split.val is not None else None


def compare_sets(model: "Model", ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> dict[str, list[float]]:
    """Calibrate on `ours`, logits and labels, and test on `theirs`.

    Returns for each row the few-shot and all coverage in percent and the mean size; and top-1 as trained and with estimated
    class frequencies.
    """
    from longtail.inference.calibration import CalibrationOptions, Priors, calibrate_logits, compute_scores
    from longtail.inference.decisions import Decider, DecisionOptions, estimate_log_target
    from longtail.metrics import mondrian_thresholds

    priors, table = Priors.from_method(model.method), model.run.classes
    calibration = calibrate_logits(*ours, priors, model.run, CalibrationOptions(COVERAGE, "all"), {})
    target, _ = estimate_log_target(calibration, model.method, [theirs[0]])
    decider = Decider(calibration, DecisionOptions(), model.method, (), None, target, is_estimated=True)
    group = torch.tensor([("many", "medium", "few").index(name) for name in table.groups])
    few = (group == 2).nonzero().flatten().tolist()
    found = {}
    for name, (score, take) in ROWS.items():
        of_ours, of_theirs = (compute_scores(z, score, calibration.temperature, priors) for z, _ in (ours, theirs))
        s = of_ours.gather(1, ours[1].unsqueeze(1)).squeeze(1)
        by_group = mondrian_thresholds(s, group[ours[1]], 3, COVERAGE)[group]
        sets = of_theirs <= (take(s, ours[1], len(table)) if take else by_group)
        is_in = sets.gather(1, theirs[1].unsqueeze(1)).squeeze(1).double()
        by_class = [is_in[theirs[1] == c].mean().item() for c in few]
        found[name] = [100 * np.nanmean(by_class), 100 * is_in.mean().item(), sets.sum(1).double().mean().item()]
    top1 = [100 * (z.argmax(-1) == theirs[1]).double().mean().item() for z in (theirs[0], decider.adjust(theirs[0]))]
    return found | {"top-1 as trained, estimated": top1}


def measure(
    root: str, method: str, seed: int, draws: int, val_share: float, cache: str | None
) -> tuple[list[dict], dict]:
    """Return what `compare_sets` finds in each draw, and facts.

    A draw calibrates on a random half of the test images and tests on the other half; with a validation part, which
    calibrates, there is one draw.
    """
    model, (logits, labels), val = load_logits(root, method, seed, val_share, cache)
    if val is not None:
        pairs = [(val, (logits, labels))]
    else:
        orders = [
            torch.randperm(len(labels), generator=torch.Generator().manual_seed(1000 * seed + i)) for i in range(draws)
        ]
        halves = [order.split([len(order) // 2, len(order) - len(order) // 2]) for order in orders]
        pairs = [tuple((logits[rows], labels[rows]) for rows in half) for half in halves]  # type: ignore[misc]
    below = [int((torch.bincount(ours[1], minlength=logits.shape[1]) < 9).sum()) for ours, _ in pairs]
    facts = {"few_classes": model.run.classes.groups.count("few"), "classes_below_9": float(np.mean(below))}
    return [compare_sets(model, *pair) for pair in pairs], facts | {"images": len(pairs[0][0][1])}


def main(argv: list[str]) -> None:
    """Measure, print a row for each kind of set, and save all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sets", description=__doc__)
    parser.add_argument("root", help="folder that holds caltech101/train and caltech101/test")
    parser.add_argument("--methods", nargs="+", default=["ce", "bc", "logit_adjustment"])
    parser.add_argument("--seeds", type=count(), default=2)
    parser.add_argument("--draws", type=count(), default=20)
    parser.add_argument("--val-share", type=float, default=0.0, help="calibrate on a validation part of this share")
    parser.add_argument("--cache", help="folder of cached features")
    options = parser.parse_args(argv)
    record = {}
    for method in options.methods:
        runs = [
            measure(options.root, method, seed, options.draws, options.val_share, options.cache)
            for seed in range(options.seeds)
        ]
        facts = record[method] = runs[0][1]
        print(
            f"{method}: {facts['images']:,} calibration images, {facts['classes_below_9']:.0f} of 101 classes below 9; "
            f"few-shot coverage (mean of {facts['few_classes']} classes), coverage of all images, classes in a set"
        )
        for name in runs[0][0][0]:
            facts[name] = np.mean([draw[name] for draws, _ in runs for draw in draws], axis=0).tolist()
            print(f"  {name:<28} " + "  ".join(f"{value:6.2f}" for value in facts[name]), flush=True)
    name = "sets" + ("-val" if options.val_share else "")
    save(name, {"coverage": COVERAGE, "seeds": options.seeds, "draws": options.draws, "methods": record})
