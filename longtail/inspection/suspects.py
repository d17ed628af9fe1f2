"""Probable label faults: training images whose label a head that never saw them finds improbable, whatever the class prior.

The score is the self-confidence of confident learning (Northcutt, Jiang and Chuang 2021), under a uniform class prior. Their
confident joint is not used: on a long tail it flags three sound labels for each wrong one (`python -m benchmarks suspects`).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from longtail.data import LazyImages, Split
from longtail.errors import LongtailError
from longtail.evaluate import compute_features
from longtail.features import load_test_features
from longtail.heads import fit_features
from longtail.runs.finished import FinishedRun

FOLDS = 5
METHOD = "logit_adjustment"  # its logits are under a uniform prior


@dataclass(frozen=True)
class Judgment:
    """Out-of-fold probabilities of N images under a uniform class prior (N, C), their labels, and which are judged (N,) bool.

    An image is judged if another fold holds an image of its class: a head cannot know a class that it never saw.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    is_judged: np.ndarray

    @property
    def credibility(self) -> np.ndarray:
        """Return the probability of each label, (N,): self-confidence (Northcutt et al. 2021) under a uniform prior."""
        return self.probabilities[np.arange(len(self.labels)), self.labels]

    @property
    def suggested(self) -> np.ndarray:
        """Return the most probable class of each image, (N,)."""
        return self.probabilities.argmax(1)

    def find_faults(self) -> np.ndarray:
        """Return which labels are probably wrong, (N,) bool: less probable than a guess, 1 / C, and not the best class."""
        guess = 1 / self.probabilities.shape[1]
        return self.is_judged & (self.credibility < guess) & (self.suggested != self.labels)


def judge_labels(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    groups: np.ndarray | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    device: str = "auto",
) -> Judgment:
    """Fit heads on all folds but one and judge the images of that one: (N, d), (N,) -> Judgment.

    `groups` (N,) stay in one fold each. Raises LongtailError for fewer than two images of every class.
    """
    counts = np.bincount(labels, minlength=classes)
    if counts.max() < 2:
        raise LongtailError("no class has two images, so that no label can be compared with others of its class")
    number = int(min(folds, counts.max()))
    probabilities, is_judged = np.zeros((len(labels), classes)), np.zeros(len(labels), dtype=bool)
    for train, held in split_folds(labels, groups, number, seed):
        names = [str(c) for c in range(classes)]
        heads = fit_features(features[train], labels[train], METHOD, names, seed=seed, device=device)
        probabilities[held] = heads.predict_proba(features[held])
        is_judged[held] = np.isin(labels[held], labels[train])
    return Judgment(probabilities, labels, is_judged)


def split_folds(
    labels: np.ndarray, groups: np.ndarray | None, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the positions to train on and those held, of each fold; every class is spread over the folds."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings(action="ignore"):  # a class may have fewer images than there are folds
        return list(kind(folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels, groups))


def load_features(run: FinishedRun, split: Split, device: torch.device) -> np.ndarray:
    """Return the features of a run's training images, (N, d) float32: of its frozen encoder, or of all its experts.

    Only those of a frozen encoder know nothing of the labels.
    """
    if run.recipe.frozen:
        assert isinstance(split.train, LazyImages)
        return load_test_features(run, split.train, "training", run.recipe.frozen_views).features[:, 0].float().numpy()
    features: Tensor = compute_features(run.load_method().to(device), split.train, run.transform_set)
    return torch.cat(list(features), dim=-1).numpy()
