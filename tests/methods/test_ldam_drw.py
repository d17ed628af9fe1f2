"""LDAM with deferred re-weighting as a method."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cosine_similarity

from longtail.testing import COUNTS, build_method, make_batch


def compute_naively(method, batch, weights) -> float:
    """Compute Eq. 13 of Cao et al. 2019 over scaled cosines, weighted over the batch."""
    v, total, norm = method.features(batch.views[0])[0], 0.0, 0.0
    for i, y in enumerate(batch.y.tolist()):
        z = [30 * cosine_similarity(v[i], w, dim=0).item() for w in method.cls.weight[0]]
        z[y] -= 30 * 0.5 * (min(COUNTS) / COUNTS[y]) ** 0.25
        total += weights[y] * (math.log(sum(math.exp(u - max(z)) for u in z)) + max(z) - z[y])
        norm += weights[y]
    return total / norm


def test_the_margin_applies_from_the_start_and_the_weights_from_four_fifths_of_training():
    method = build_method("ldam_drw")
    early = make_batch(method)
    late = replace(early, progress=torch.tensor(0.8))
    effective = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS]
    assert method(early)["ldam"].item() == pytest.approx(compute_naively(method, early, [1.0] * 4), rel=1e-4)
    assert method(late)["ldam"].item() == pytest.approx(compute_naively(method, late, effective), rel=1e-4)


def test_the_finished_model_gives_scaled_cosines_without_a_margin():
    z = build_method("ldam_drw", scale=7.0).logits(torch.randn(50, 3, 8, 8))
    assert z.abs().max() <= 7.0001
