"""AUROC by group of the score by which `longtail suspects` finds flipped labels, and of two others."""

import argparse

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks import tails
from benchmarks.harness import save
from longtail.inspection import suspects
from longtail.metrics import shot_group

GROUPS = ("all", "many", "medium", "few")


def flip(data: tails.Features, rows: np.ndarray, kind: str, share: float, seed: int) -> np.ndarray:
    """Return the labels of some images with a share replaced: by any other class, or by the class of the nearest mean."""
    generator, labels = np.random.default_rng(seed), data.labels[rows]
    if kind == "any":
        others = (labels + generator.integers(1, data.classes, len(labels))) % data.classes
    else:
        standard = (data.train - data.train.mean(0)) / (data.train.std(0) + 1e-6)
        means = np.stack([standard[data.labels == c].mean(0) for c in range(data.classes)])
        cosines = (means / np.linalg.norm(means, axis=1, keepdims=True)) @ (means.T / np.linalg.norm(means, axis=1))
        np.fill_diagonal(cosines, -1)
        others = cosines.argmax(1)[labels]
    return np.where(generator.random(len(labels)) < share, others, labels)


def score(judgment: suspects.Judgment, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return the probability of each label under a uniform and under the training prior, and its lead over other classes."""
    rows, p = np.arange(len(judgment.labels)), judgment.probabilities
    under_train = p * np.maximum(counts, 1)
    own = {"uniform prior": p[rows, judgment.labels]}
    own["training prior"] = (under_train / under_train.sum(1, keepdims=True))[rows, judgment.labels]
    rest = p.copy()
    rest[rows, judgment.labels] = -1
    return own | {"lead, uniform prior": own["uniform prior"] - rest.max(1)}


def measure(data: tails.Features, imbalance: float, kind: str, share: float, seed: int) -> dict[str, dict[str, float]]:
    """Return for each score the AUROC in percent on all judged images, and by the group of the given label."""
    rows = tails.draw_tail(data, imbalance, seed)
    given = flip(data, rows, kind, share, seed)
    wrong, counts = given != data.labels[rows], np.bincount(given, minlength=data.classes)
    groups = np.array([shot_group(int(counts[c])) for c in given])
    judgment = suspects.judge_labels(data.train[rows], given, data.classes, seed=seed)
    chosen = {g: judgment.is_judged & ((groups == g) | (g == "all")) for g in GROUPS}
    found: dict[str, dict[str, float]] = {}
    for name, scores in score(judgment, counts).items():
        both = {g: rows for g, rows in chosen.items() if 0 < wrong[rows].sum() < rows.sum()}
        found[name] = {g: 100 * float(roc_auc_score(wrong[r], -scores[r])) for g, r in both.items()}
    for name, faults in (("longtail suspects", judgment.find_faults()), ("confident joint", join(judgment))):
        hit = 100 * float((faults & wrong).sum())
        found[name] = {
            "images": float(faults.sum()),
            "precision": hit / max(faults.sum(), 1),
            "recall": hit / wrong.sum(),
        }
    return found


def join(judgment: suspects.Judgment) -> np.ndarray:
    """Return which labels confident learning takes for wrong, (N,) bool (Northcutt, Jiang and Chuang 2021, confident joint)."""
    p, labels = judgment.probabilities, judgment.labels
    own = p[np.arange(len(labels)), labels]
    counts = np.bincount(labels, judgment.is_judged, p.shape[1])
    sums = np.bincount(labels, own * judgment.is_judged, p.shape[1])
    reached = np.where(p >= np.divide(sums, counts, out=np.full(len(sums), np.inf), where=counts > 0), p, -1)
    return judgment.is_judged & (reached.max(1) > 0) & (reached.argmax(1) != labels)


def main(argv: list[str]) -> None:
    """Measure, print a row for each score, and save all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks suspects", description=__doc__)
    tails.add_arguments(parser)
    parser.add_argument("--share", type=float, default=0.1, help="share of the labels that are flipped")
    options = parser.parse_args(argv)
    data = tails.load(options)
    results = {}
    for kind in ("any", "similar"):
        runs = [measure(data, options.imbalance, kind, options.share, seed) for seed in range(options.seeds)]
        for name in runs[0]:
            cells = {key: [run[name][key] for run in runs if key in run[name]] for key in runs[0][name]}
            means = (f"{key} {np.mean(v):.1f} ± {np.std(v, ddof=min(1, len(v) - 1)):.1f}" for key, v in cells.items())
            print(f"{kind:<8} {name:<20}", *means, flush=True)
        results[kind] = runs
    about = {"data": options.data, "net": options.net, "imbalance": options.imbalance, "share": options.share}
    save("suspects", about | {"flips": results})
