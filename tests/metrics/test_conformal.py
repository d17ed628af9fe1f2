"""Scores against naive loops, thresholds against mapie and crepes, and coverage over many draws."""

import math

import numpy as np
import pytest
import torch

from longtail import metrics
from longtail.metrics.conformal import RAPS_PENALTY, RAPS_RANK, conformal_rank

PRIOR = torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03], dtype=torch.float64)


def draw(n: int, seed: int, prior: torch.Tensor = PRIOR) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw probabilities (n, C) of a model with some skill, and labels (n,) from the prior."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(prior, n, replacement=True, generator=g)
    logits = torch.randn(n, len(prior), generator=g, dtype=torch.float64)
    logits += 1.5 * torch.nn.functional.one_hot(labels, len(prior)) + prior.log()
    return logits.softmax(-1), labels


def test_scores_are_those_of_a_loop_over_images_and_classes():
    p, _ = draw(20, 0)
    pas, lac = metrics.pas_scores(p, PRIOR), metrics.lac_scores(p)
    aps, raps = metrics.aps_scores(p, u=0.3), metrics.raps_scores(p, u=0.3, free_rank=2)
    for i in range(20):
        for c in range(5):
            above = [j for j in range(5) if p[i, j] > p[i, c]]
            expected = sum(p[i, j].item() for j in above) + 0.7 * p[i, c].item()
            assert pas[i, c] == pytest.approx(-p[i, c] / PRIOR[c]) and lac[i, c] == pytest.approx(1 - p[i, c])
            assert aps[i, c] == pytest.approx(expected)
            assert raps[i, c] == pytest.approx(expected + RAPS_PENALTY * max(len(above) + 1 - 2, 0))


def test_equal_probabilities_have_distinct_ranks_and_the_same_scores_each_time():
    p = torch.full((2, 4), 0.25, dtype=torch.float64)
    assert metrics.aps_scores(p, u=0).tolist() == [[0.25, 0.5, 0.75, 1.0]] * 2
    assert metrics.raps_scores(p, u=0, free_rank=1)[0].tolist() == pytest.approx([0.25, 0.51, 0.77, 1.03])


@pytest.mark.parametrize("score", metrics.SCORES)
def test_no_score_exceeds_the_largest(score):
    p = torch.cat([draw(50, 1)[0], torch.eye(5, dtype=torch.float64), torch.full((1, 5), 0.2, dtype=torch.float64)])
    largest = metrics.largest_score(score, 5)
    assert metrics.compute_scores(score, p, PRIOR).max() <= largest
    assert metrics.prediction_sets(metrics.compute_scores(score, p, PRIOR), largest).all()


@pytest.mark.parametrize("n", [1, 8, 9, 10, 99])
@pytest.mark.parametrize("coverage", [0.5, 0.55, 0.9, 0.95])
def test_the_threshold_is_the_smallest_score_below_which_enough_scores_lie(n, coverage):
    scores = torch.rand(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    needed = (n + 1) * coverage  # of the n scores, the (n + 1)-th being the new one
    enough = [s for s in scores.tolist() if (scores <= s).sum() >= needed - 1e-6]
    assert metrics.conformal_threshold(scores, coverage) == (min(enough) if enough else math.inf)
    assert math.isfinite(metrics.conformal_threshold(scores, coverage)) == (n >= metrics.fewest_images(coverage))


def test_ranks_do_not_suffer_from_rounding():
    assert conformal_rank(99, 0.55) == 55 and 100 * 0.55 > 55
    assert metrics.fewest_images(0.9) == 9 and metrics.fewest_images(0.95) == 19 and metrics.fewest_images(0.5) == 1
    assert metrics.fewest_images(0.9999) == 9999 and metrics.fewest_images(0.99999) == 99999
    assert metrics.conformal_threshold(torch.tensor([0.3, 0.3, 0.3]), 0.5) == pytest.approx(0.3)  # ties
    assert metrics.conformal_threshold(torch.zeros(0), 0.9) == math.inf
    assert metrics.conformal_threshold(torch.zeros(5), 0.0) == -math.inf


def test_a_group_has_the_threshold_of_its_own_scores():
    p, labels = draw(200, 3)
    scores = metrics.lac_scores(p).gather(1, labels[:, None])[:, 0]
    found = metrics.mondrian_thresholds(scores, labels, 6, 0.8)
    expected = [metrics.conformal_threshold(scores[labels == c], 0.8) for c in range(5)] + [math.inf]
    assert found.tolist() == expected


def test_interpolation_ends_at_the_pooled_threshold_and_at_that_of_the_class():
    own = torch.tensor([0.2, 0.6, math.inf], dtype=torch.float64)
    assert metrics.interpolate_thresholds(own, 0.4, 0.0, 1.0).tolist() == [0.4] * 3
    assert metrics.interpolate_thresholds(own, 0.4, 1.0, 1.0).tolist() == [0.2, 0.6, 1.0]
    assert metrics.interpolate_thresholds(own, 0.4, 0.9, 1.0).tolist() == pytest.approx([0.22, 0.58, 0.94])


@pytest.mark.parametrize("score", metrics.SCORES)
def test_mean_coverage_over_200_draws_is_within_a_point_of_what_was_asked(score):
    """For one threshold, for thresholds of two groups, and for a threshold of each class."""
    group = torch.tensor([0, 0, 1, 1, 1])
    covered: dict[str, list[list[float]]] = {"all": [], "group": [], "class": []}
    for seed in range(200):
        p, labels = draw(1000, 1000 + seed, torch.full((5,), 0.2, dtype=torch.float64))
        scores = metrics.compute_scores(score, p, PRIOR)
        s, y, test = scores[:500].gather(1, labels[:500, None])[:, 0], labels[:500], labels[500:]
        by_group = metrics.mondrian_thresholds(s, group[y], 2, 0.9)[group]
        by_class = metrics.mondrian_thresholds(s, y, 5, 0.9)
        pooled = metrics.conformal_threshold(s, 0.9)
        for name, thresholds, of in (
            ("all", pooled, torch.zeros_like(test)),
            ("group", by_group, group[test]),
            ("class", by_class, test),
        ):
            is_in = metrics.prediction_sets(scores[500:], thresholds).gather(1, test[:, None])[:, 0].double()
            covered[name].append([is_in[of == c].mean().item() for c in of.unique().tolist()])
    for means in covered.values():
        assert np.mean(means, axis=0) == pytest.approx(0.9, abs=0.01)


def test_interpolated_sets_cover_at_least_one_minus_twice_the_share_that_may_be_missed():
    covered = []
    for seed in range(200):
        p, labels = draw(300, 5000 + seed)
        scores = metrics.pas_scores(p, PRIOR)
        s, y = scores[:150].gather(1, labels[:150, None])[:, 0], labels[:150]
        own, pooled = metrics.mondrian_thresholds(s, y, 5, 0.9), metrics.conformal_threshold(s, 0.9)
        sets = metrics.prediction_sets(scores[150:], metrics.interpolate_thresholds(own, pooled, 0.5, 0.0))
        covered.append(sets.gather(1, labels[150:, None]).double().mean().item())
    assert np.mean(covered) >= 0.8


class KnownProbabilities:
    """A fitted classifier whose inputs are the probabilities themselves, for mapie."""

    def __new__(cls, classes: int):
        from sklearn.base import BaseEstimator, ClassifierMixin

        class Known(ClassifierMixin, BaseEstimator):
            def fit(self, x, y):
                self.classes_ = np.arange(classes)
                return self

            def predict_proba(self, x):
                return x

            def predict(self, x):
                return x.argmax(1)

        return Known().fit(None, None)


@pytest.mark.parametrize("score", ["lac", "aps"])
def test_scores_thresholds_and_sets_are_those_of_mapie(score):
    from mapie.classification import SplitConformalClassifier

    p, labels = draw(300, 7)
    peer = SplitConformalClassifier(KnownProbabilities(5), confidence_level=0.87, conformity_score=score, prefit=True)
    peer.conformalize(p[:150].numpy(), labels[:150].numpy())
    _, sets = peer.predict_set(p[150:].numpy())
    theirs = torch.from_numpy(np.ravel(peer._mapie_classifier.conformity_scores_))
    threshold = metrics.conformal_threshold(theirs, 0.87)
    assert peer._mapie_classifier.conformity_score_function_.quantiles_ == pytest.approx(threshold)
    scores = [metrics.lac_scores(p)] * 2 if score == "lac" else [metrics.aps_scores(p, u) for u in (1.0, 0.0)]
    low, high = (each[:150].gather(1, labels[:150, None])[:, 0] for each in scores)
    assert (low - 1e-9 <= theirs).all() and (theirs <= high + 1e-9).all()  # mapie draws u for each image
    if score == "lac":  # mapie's sets of APS hold one class more
        assert (sets[..., 0] == metrics.prediction_sets(scores[0][150:], threshold).numpy()).all()


@pytest.mark.parametrize("by", ["all", "class"])
def test_sets_are_those_of_crepes(by):
    from crepes import ConformalClassifier

    p, labels = draw(400, 11)
    scores = metrics.pas_scores(p, PRIOR)
    s, y = scores[:200].gather(1, labels[:200, None])[:, 0], labels[:200]
    bins = y.numpy() if by == "class" else None
    peer = ConformalClassifier().fit(s.numpy(), bins=bins)
    own = metrics.mondrian_thresholds(s, y, 5, 0.873)
    thresholds = own if by == "class" else metrics.conformal_threshold(s, 0.873)
    found = metrics.prediction_sets(scores[200:], thresholds).numpy()
    for c in range(5):  # crepes takes the bin of an image; for the set of class c every image is of bin c
        bins = np.full(200, c) if by == "class" else None
        sets = peer.predict_set(scores[200:, [c]].numpy(), bins=bins, confidence=0.873, smoothing=False)
        assert (sets[:, 0] == found[:, c]).all()


def test_ranks_of_raps_begin_at_one():
    assert RAPS_RANK == 5 and metrics.raps_scores(torch.eye(3), u=0)[0, 0] == 1
