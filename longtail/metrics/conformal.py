"""Conformal prediction sets: scores, thresholds for all classes, groups or single classes, and what they promise.

A score says how badly a class fits an image. The set of an image holds every class whose score is at most the threshold of
the class. Split conformal prediction: Vovk et al. 2005; LAC: Sadinle et al. 2019; APS: Romano et al. 2020; RAPS:
Angelopoulos et al. 2021; PAS and Interp-Q: Ding, Fermanian and Salmon 2025 (arXiv 2507.06867).
"""

import math

import torch
from torch import Tensor

RAPS_PENALTY, RAPS_RANK = 0.01, 5  # lambda and k_reg of RAPS (Angelopoulos et al. 2021, Sec. 3)
ROUNDING = 1e-9  # 100 * 0.55 is a little above 55 in floating point, and its rank is 55


def pas_scores(probabilities: Tensor, prior: Tensor) -> Tensor:
    """Compute prevalence-adjusted softmax scores, -p(y|x) / p(y): (N, C), (C,) -> (N, C), each at most 0."""
    return -probabilities / prior


def lac_scores(probabilities: Tensor) -> Tensor:
    """Compute 1 - p(y|x): (N, C) -> (N, C) in [0, 1]."""
    return 1 - probabilities


def aps_scores(probabilities: Tensor, u: float = 0.5) -> Tensor:
    """Compute the total probability of all more probable classes, plus the share 1 - u of the class's own: (N, C) -> (N, C).

    Romano et al. draw u from [0, 1] for each image. Its mean, 1/2, gives an image the same set each time; with u = 0, sets
    of confident models grow large. Classes of equal probability stand in class order.
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    return torch.empty_like(probabilities).scatter_(-1, order, ordered.cumsum(-1) - u * ordered)


def raps_scores(
    probabilities: Tensor, u: float = 0.5, penalty: float = RAPS_PENALTY, free_rank: int = RAPS_RANK
) -> Tensor:
    """Compute APS scores plus `penalty` for each rank of a class beyond `free_rank`: (N, C) -> (N, C)."""
    order = probabilities.argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(-1) + 1  # 1 is the most probable class
    return aps_scores(probabilities, u) + penalty * (rank - free_rank).clamp_min(0)


def compute_scores(score: str, probabilities: Tensor, prior: Tensor | None = None) -> Tensor:
    """Compute the scores that "pas", "lac", "aps" or "raps" names; "pas" needs the prior: (N, C), (C,) -> (N, C)."""
    if score == "pas":
        assert prior is not None
        return pas_scores(probabilities, prior)
    return {"lac": lac_scores, "aps": aps_scores, "raps": raps_scores}[score](probabilities)


def largest_score(score: str, classes: int) -> float:
    """Return a score that no class exceeds; as a threshold, it puts a class into every set."""
    # sums of probabilities may exceed 1 by rounding
    return {"pas": 0.0, "lac": 1.0, "aps": 1 + 1e-6, "raps": 1 + 1e-6 + RAPS_PENALTY * max(classes - RAPS_RANK, 0)}[
        score
    ]


def conformal_rank(n: int, coverage: float) -> int:
    """Return the rank, from 1, of the score that becomes the threshold: ceil((n + 1) coverage); n + 1 stands for none."""
    return math.ceil((n + 1) * coverage - ROUNDING)


def fewest_images(coverage: float) -> int:
    """Return the fewest calibration images with which a threshold can promise this coverage, such as 9 for 0.9."""
    n = math.ceil(coverage / (1 - coverage) - ROUNDING)
    return n - 1 if conformal_rank(n - 1, coverage) <= n - 1 else n  # the quotient is rounded


def conformal_threshold(scores: Tensor, coverage: float) -> float:
    """Return the threshold that a new score stays below with probability `coverage` or more; inf with too few scores.

    (n,) scores of the true classes of calibration images -> the score of rank ceil((n + 1) coverage). With distinct scores
    the probability is at most coverage + 1 / (n + 1).
    """
    rank = conformal_rank(len(scores), coverage)
    if rank > len(scores):
        return math.inf
    return scores.sort().values[rank - 1].item() if rank > 0 else -math.inf


def mondrian_thresholds(scores: Tensor, groups: Tensor, num_groups: int, coverage: float) -> Tensor:
    """Compute a threshold for each group of calibration images from its own scores; inf where it has too few.

    (n,) scores of the true classes, (n,) numbers of groups -> (num_groups,) float64. With labels as groups, each class has
    a threshold of its own (Vovk et al. 2003).
    """
    found = [conformal_threshold(scores[groups == group], coverage) for group in range(num_groups)]
    return torch.tensor(found, dtype=torch.float64)


def interpolate_thresholds(by_class: Tensor, pooled: float, weight: float, largest: float) -> Tensor:
    """Compute weight * threshold of the class + (1 - weight) * pooled threshold, (C,) (Interp-Q, Ding et al. 2025).

    A class with too few images (inf) enters with the largest score there is. Weight 0 is the pooled threshold.
    """
    return weight * by_class.clamp_max(largest) + (1 - weight) * min(pooled, largest)


def prediction_sets(scores: Tensor, thresholds: Tensor | float) -> Tensor:
    """Return which classes are in the set of each image: (N, C) scores, (C,) thresholds or one -> (N, C) bool."""
    return scores <= thresholds
