"""Balanced accuracy for each 100 labels that `longtail label` chooses from a pool, against a random choice and its parts."""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import normalize

from benchmarks import tails
from benchmarks.harness import count, save
from longtail.heads import Heads, fit_features
from longtail.inspection.labeling import choose_images, compute_margins, compute_scores

Choose = Callable[[torch.Tensor, torch.Tensor, list[int], int, int], np.ndarray]


def take_best(scores: torch.Tensor, n: int) -> np.ndarray:
    """Return the positions of the n highest scores."""
    return scores.argsort(descending=True)[:n].numpy()


# probabilities (N, C), features (N, d), training counts, n, seed -> positions in the pool
WAYS: dict[str, Choose] = {
    "random": lambda p, v, counts, n, seed: np.random.default_rng(seed).permutation(len(p))[:n],
    "margin": lambda p, v, counts, n, seed: take_best(1 - compute_margins(p), n),
    "margin x rarity": lambda p, v, counts, n, seed: take_best(compute_scores(p, counts), n),
    "margin, apart": lambda p, v, counts, n, seed: choose_images(v, 1 - compute_margins(p), n, seed),
    "longtail label": lambda p, v, counts, n, seed: choose_images(v, compute_scores(p, counts), n, seed),
}


def fit(data: tails.Features, labeled: np.ndarray, seed: int) -> tuple[Heads, float]:
    """Fit heads on labeled images; returns these and their balanced accuracy on the test images in percent."""
    names = [str(c) for c in range(data.classes)]
    heads = fit_features(data.train[labeled], data.labels[labeled], class_names=names, seed=seed, threads=1)
    correct = heads.predict(data.test).astype(int) == data.test_labels
    return heads, 100 * float(np.mean([correct[data.test_labels == c].mean() for c in np.unique(data.test_labels)]))


def measure(data: tails.Features, imbalance: float, seed: int, n: int, rounds: int) -> dict[str, list[float]]:
    """Return for each way of choosing the balanced accuracy in percent at the start and after each round of n labels."""
    first = tails.draw_tail(data, imbalance, seed)
    standard = (data.train - data.train.mean(0)) / (data.train.std(0) + 1e-6)
    features, begun = normalize(torch.from_numpy(standard), dim=-1), fit(data, first, seed)
    found = {}
    for way, choose in WAYS.items():
        labeled, (heads, balanced) = first, begun
        found[way] = [balanced]
        for _ in range(rounds):
            pool = np.setdiff1d(np.arange(len(data.labels)), labeled)
            probabilities = torch.from_numpy(heads.predict_proba(data.train[pool])).float()
            counts = np.bincount(data.labels[labeled], minlength=data.classes).tolist()
            labeled = np.concatenate([labeled, pool[choose(probabilities, features[pool], counts, n, seed)]])
            heads, balanced = fit(data, labeled, seed)
            found[way].append(balanced)
        print(f"seed {seed}, {way:<16}", *(f"{value:.1f}" for value in found[way]), flush=True)
    return found


def main(argv: list[str]) -> None:
    """Measure, print a row for each way of choosing, and save all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks label", description=__doc__)
    tails.add_arguments(parser)
    parser.add_argument("-n", type=count(), default=100, help="labels of a round")
    parser.add_argument("--rounds", type=count(), default=3)
    options = parser.parse_args(argv)
    data, results = tails.load(options), {}
    runs = [measure(data, options.imbalance, seed, options.n, options.rounds) for seed in range(options.seeds)]
    for way in WAYS:
        curves = [run[way] for run in runs]
        gains = [(curve[-1] - curve[0]) * 100 / (options.n * options.rounds) for curve in curves]
        means = ", ".join(f"{value:.1f}" for value in np.mean(curves, 0))
        results[way] = {"balanced": curves, "points_per_100_labels": gains}
        sd = np.std(gains, ddof=min(1, len(gains) - 1))
        print(f"{way:<16} balanced {means}; {np.mean(gains):.2f} ± {sd:.2f} points for each 100 labels", flush=True)
    about = {"data": options.data, "net": options.net, "imbalance": options.imbalance, "n": options.n}
    save("label", about | {"ways": results})
