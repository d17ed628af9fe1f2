"""TSC: targets, their assignment to classes, centroids, and the head that learns last."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from longtail.losses import targeted_contrastive
from longtail.methods.tsc import compute_uniformity, spread_targets
from longtail.testing import build_method, enter_stage, make_batch

SQUARE = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=torch.float64)


@pytest.mark.parametrize("temperature, expected", [(0.07, 14.285715535463796), (0.5, 2.253856022085945)])
def test_the_uniformity_of_a_square_is_that_of_the_worked_example(temperature, expected):
    assert compute_uniformity(SQUARE, temperature).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("classes, width", [(2, 1), (4, 3), (4, 8), (100, 128)])
def test_few_classes_have_the_corners_of_a_regular_simplex_as_targets(classes, width):
    targets = spread_targets(classes, width).double()
    expected = torch.full((classes, classes), -1 / (classes - 1), dtype=torch.float64).fill_diagonal_(1)
    assert targets.shape == (classes, width)
    assert torch.allclose(targets @ targets.T, expected, atol=1e-6)


def test_more_targets_than_a_simplex_has_corners_are_spread_by_descent_and_always_alike():
    state = torch.get_rng_state()
    targets = spread_targets(4, 2, temperature=0.5, steps=1500)
    assert torch.equal(state, torch.get_rng_state())
    assert compute_uniformity(targets, 0.5).item() == pytest.approx(2.253856022085945, abs=1e-4)
    assert torch.equal(targets, spread_targets(4, 2, temperature=0.5, steps=1500))


def test_targets_are_assigned_to_the_nearest_centroids_one_to_one_before_an_epoch_of_their_stage():
    method = build_method("tsc", projection=2, counts=(9, 9, 9))
    kcl, aimed, _ = method.stages()
    method.begin_stage(kcl, None)
    method.centroids.copy_(torch.tensor([[0.0, 1.0], [0.9, 0.1], [1.0, 0.0]]))
    method.begin_epoch(iter(()))
    assert method.assigned.tolist() == [0, 1, 2]
    method.begin_stage(aimed, None)
    method.targets.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]))
    method.begin_epoch(iter(()))
    # classes 1 and 2 both prefer target 0; the sum of the products is largest with it at class 2
    assert method.assigned.tolist() == [1, 2, 0]


def test_centroids_follow_the_mean_query_of_the_classes_in_the_batch():
    method = build_method("tsc", projection=2)
    before = normalize(torch.randn(4, 2), dim=1)
    method.centroids.copy_(before)
    query, y = normalize(torch.randn(5, 2), dim=1), torch.tensor([0, 0, 0, 2, 2])
    method.follow(query, y)
    for c in range(4):
        own = normalize(query[y == c].mean(0), dim=0)
        moved = normalize(0.9 * before[c] + 0.1 * own, dim=0) if c in (0, 2) else before[c]
        assert torch.allclose(method.centroids[c], moved, atol=1e-6)


@pytest.mark.parametrize("stage", [0, 1])
def test_a_step_contrasts_projections_with_own_keys_the_queue_and_in_the_second_stage_targets(stage):
    method = build_method("tsc", queue=20)
    for _ in range(2):  # the second step has keys of the first in its queue
        enter_stage(method, method.stages()[stage])
        batch, labels = make_batch(method), method.queue.labels.clone()
        query = normalize(method.projector(method.encoders(batch.views[0]))[0], dim=1)
        key, queue = normalize(method.key(batch.views[1]), dim=-1)[0], method.queue.keys[0].clone()
        is_positive = labels == batch.y.unsqueeze(1)
        # with more positives than keys, all of a class are drawn, in whatever order
        index = torch.arange(20).expand(16, -1)
        aim = (method.targets, method.assigned[batch.y], 0.2) if stage else ()
        expected = targeted_contrastive(query, key, queue, (index, is_positive), 0.07, *aim).mean()
        method.positives = 20
        assert method(batch)["contrast"].item() == pytest.approx(expected.item(), rel=1e-4)
        method.after_step()
    assert is_positive.any() and (method.queue.labels >= 0).all()


def test_key_network_and_network_normalize_by_the_statistics_of_their_batches_until_the_head_learns():
    method = build_method("tsc")
    modes = []
    for stage in method.stages():
        enter_stage(method, stage)
        norms = [m for m in method.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        modes.append({m.training for m in norms})
    assert modes == [{True}, {True}, {False}] and len(norms) == 8


def test_the_head_learns_alone_by_margins_and_class_weights_or_on_balanced_batches():
    method = build_method("tsc")
    *_, last = method.stages()
    names = {id(p): name for name, p in method.named_parameters()}
    assert {names[id(p)] for p in enter_stage(method, last)} == {"cls.weight"} and last.samplers == ("instance",)
    batch, n = make_batch(method), [40, 20, 10, 5]
    weight = [1 / (1 - 0.9999**m) for m in n]
    z, total = method.logits(batch.views[0])[0].detach(), 0.0
    for i, c in enumerate(batch.y.tolist()):
        s = z[i].clone()
        s[c] -= 30 * 0.5 * (5 / n[c]) ** 0.25
        total -= weight[c] * s.log_softmax(0)[c].item()
    assert method(batch)["ldam"].item() == pytest.approx(total / sum(weight[c] for c in batch.y), rel=1e-4)
    keys = method.queue.keys.clone()
    method.after_step()
    assert torch.equal(keys, method.queue.keys) and method.assumed_log_prior() is None
    balanced = build_method("tsc", classifier="balanced")
    enter_stage(balanced, balanced.stages()[-1])
    assert balanced.stages()[-1].samplers == ("balanced",) and balanced.assumed_log_prior().abs().max() == 0
    assert balanced(batch)["balanced"].item() < 3 * math.log(4)


def test_the_run_says_that_its_head_learns_last():
    assert any("untrained head" in note for note in build_method("tsc").notes)
