"""LFME: experts of class groups, the curriculum, and the weights of the experts."""

from dataclasses import replace

import pytest
import torch

from longtail import nets
from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.lfme import LFME, compute_easiness, rise_to_one
from longtail.testing import build_method, enter_stage, make_batch, make_split

COUNTS = (300, 160, 50, 10, 5)


def make() -> LFME:
    torch.manual_seed(0)
    return LFME(COUNTS, nets.Net("conv4"))


def test_each_group_of_classes_has_an_expert_and_empty_groups_have_none():
    assert make().subset[:, 0].tolist() == [
        [True, True, False, False, False],
        [False, False, True, False, False],
        [False] * 3 + [True] * 2,
    ]
    assert build_method("lfme").subset[:, 0].tolist() == [[True, True, False, False], [False, False, True, True]]
    assert build_method("lfme", counts=(200, 100, 50, 30)).subset.shape == (2, 1, 4)


def test_the_floor_is_the_mean_size_of_the_rarest_group_over_that_of_the_own_group():
    assert make().floor.tolist() == pytest.approx([7.5 / 230] * 2 + [7.5 / 50] + [1, 1])


def test_the_weight_of_an_image_rises_from_its_scaled_confidence_to_one():
    p, floor = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64), torch.tensor([12 / 53], dtype=torch.float64)
    v = compute_easiness(p, torch.zeros(3, dtype=torch.long), floor)
    assert v.tolist() == pytest.approx([0.22641509433962265, 0.6132075471698113, 1], rel=1e-12)
    later = rise_to_one(v, torch.tensor(0.25) / 0.5)
    assert later.tolist() == pytest.approx([0.6132075471698113, 0.8066037735849056, 1], rel=1e-12)
    assert (
        rise_to_one(v, torch.tensor(0.5) / 0.5).tolist()
        == rise_to_one(v, torch.tensor(0.9) / 0.5).tolist()
        == [1, 1, 1]
    )


def test_confidences_are_scaled_within_their_class_and_a_single_image_begins_at_the_floor():
    p, y = torch.tensor([0.1, 0.3, 0.9, 0.7]), torch.tensor([0, 0, 1, 0])
    assert compute_easiness(p, y, torch.tensor([0.5, 0.25])).tolist() == pytest.approx([0.5, 0.5 + 0.5 / 3, 0.25, 1])


def test_an_expert_learns_from_images_of_its_classes_alone_over_these_classes():
    method = make()
    enter_stage(method, method.stages()[0])
    batch = Batch([torch.randn(10, 3, 8, 8)], torch.arange(10) % 5, torch.arange(10), torch.tensor(0.5))
    z = method.teacher_heads(method.teachers(batch.views[0]))
    loss = 0.0
    for k, own in enumerate(([0, 1], [2], [3, 4])):
        rows = [i for i in range(10) if batch.y[i] in own]
        loss += sum(-z[k, i, own].log_softmax(-1)[own.index(batch.y[i])] for i in rows) / len(rows)
    assert method(batch)["experts"].item() == pytest.approx(loss.item(), rel=1e-5)


def test_the_student_learns_from_labels_and_from_every_expert_on_its_classes():
    method = make()
    enter_stage(method, method.stages()[2])
    method.easy.uniform_(0.1, 0.9)
    batch = Batch([torch.randn(10, 3, 8, 8)], torch.arange(10) % 5, torch.arange(10) + 7, torch.tensor(0.2))
    z, t = method.logits(batch.views[0])[0], method.guide(batch.views[0])
    right = torch.stack([z.argmax(-1) == batch.y, (t.argmax(-1) == batch.y).any(0)]).float()
    terms, distil = method(batch), 0.0
    v = method.easy[7:17]
    v = v + (1 - v) * 0.4
    for k, own in enumerate(([0, 1], [2], [3, 4])):
        rows = [i for i in range(10) if batch.y[i] in own]
        of_student, of_expert = (sum(r[i] for i in rows).item() / len(rows) for r in right)
        gap = (of_expert - of_student) / of_expert if of_expert else 0
        w = 1 if of_student <= 0.3 * of_expert else min(max(gap / 0.7, 0), 1)
        q, p = (t[k][:, own] / 2).softmax(-1), (z[:, own] / 2).softmax(-1)
        distil += w * (q * (q / p).log()).sum(-1).mean()
    assert terms["ce"].item() == pytest.approx((v * cross_entropy(z, batch.y)).mean().item(), rel=1e-5)
    assert terms["distil"].item() == pytest.approx(distil.item(), rel=1e-4)
    assert method.seen.tolist() == [4, 2, 4]


def test_accuracies_are_running_means_over_the_images_of_the_experts_classes():
    method = build_method("lfme")
    y, inside = torch.tensor([0, 2, 3]), torch.tensor([[True, False, False], [False, True, True]])
    z, t = torch.eye(4)[[0, 2, 2]], torch.eye(4)[torch.tensor([[1, 1, 1], [0, 3, 3]])]
    assert method.measure_accuracy(z, t, y, inside).tolist() == [[1, 0.5], [0, 0.5]]
    again = method.measure_accuracy(torch.eye(4)[[1, 3, 3]], t, y, inside)
    assert again[0].tolist() == pytest.approx([0.99 / 1.99, (0.99 + 1) / (2 * 1.99)])


def test_the_confidence_of_every_training_image_is_kept_by_its_position():
    method = build_method("lfme")
    split = make_split()
    for stage in method.stages()[:2]:
        method.begin_stage(stage, split)
    batch = replace(make_batch(method), index=torch.arange(16) + 30)
    with torch.no_grad():
        method.eval().post_hoc(method.stages()[1], iter([batch]))
        p = method.guide(batch.views[0]).softmax(-1)
    own = torch.stack([p[0 if y < 2 else 1, i, y] for i, y in enumerate(batch.y)])
    for c in (1, 2, 3):  # class 0 also has the images that no batch held
        rows = batch.y == c
        low, high, floor = own[rows].min(), own[rows].max(), method.floor[c]
        expected = floor + (1 - floor) * (own[rows] - low) / (high - low)
        assert torch.allclose(method.easy[30:46][rows], expected, atol=1e-5)


def test_the_run_says_that_the_student_is_untrained_at_first():
    assert any("untrained student" in note for note in make().notes)
