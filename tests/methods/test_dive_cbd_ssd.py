"""DiVE, CBD and SSD: a network learns, becomes the teacher, and a new student learns from it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from longtail import methods
from longtail.losses import balanced_cross_entropy, cross_entropy, tempered_kl
from longtail.testing import build_method, enter_stage, make_batch, make_batches, train_steps


class Constant(nn.Module):
    """A module with a constant output."""

    def __init__(self, output: torch.Tensor):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


def to_last_stage(name: str, steps: int = 2, **options) -> tuple[methods.Method, dict]:
    """Train every stage but the last, which is only begun; returns the method and its state before that."""
    method = build_method(name, **options)
    *earlier, last = method.stages()
    whole, method.stages = method.stages, lambda: earlier
    train_steps(method, steps)
    method.stages = whole
    before = {name: value.clone() for name, value in method.state_dict().items()}
    torch.manual_seed(7)
    enter_stage(method, last)
    return method, before


@pytest.mark.parametrize("name", ["dive", "cbd", "ssd"])
def test_the_student_is_a_new_network_and_the_teacher_the_one_that_was_trained(name):
    method, before = to_last_stage(name)
    after = method.state_dict()
    for key, value in before.items():
        if key.startswith("encoders."):
            assert torch.equal(after[key.replace("encoders", "teacher.copy.0")], value)
    layer = "encoders.experts.0.body.layers.0.weight"
    assert not torch.equal(after[layer], before[layer]) and not torch.equal(after["cls.weight"], before["cls.weight"])
    assert not after["encoders.experts.0.body.layers.1.running_mean"].any()


@pytest.mark.parametrize("name", ["dive", "cbd", "ssd"])
def test_the_teacher_stays_as_it_is_while_the_student_learns(name):
    method, _ = to_last_stage(name)
    teacher = {key: value.clone() for key, value in method.state_dict().items() if key.startswith("teacher")}
    last = method.stages()[-1]
    optimizer = torch.optim.SGD(method.enter(last), 0.1)
    for step in range(2):
        sum(method(*make_batches(method, last, step)).values()).backward()
        optimizer.step()
        method.after_step()
    assert all(torch.equal(method.state_dict()[key], value) for key, value in teacher.items())


def test_dive_weighs_balanced_softmax_and_the_divergence_from_the_teacher():
    method, _ = to_last_stage("dive", alpha=0.3)
    batch = make_batch(method)
    s, t = method.logits(batch.views[0]), method.teacher(batch.views[0])
    terms = method(batch)
    assert terms["bc"].item() == pytest.approx(0.7 * balanced_cross_entropy(s, batch.y, method.log_prior).mean().item())
    assert terms["distil"].item() == pytest.approx(0.3 * tempered_kl(s, t, 3.0, 0.5).mean().item())


def test_dive_has_the_worked_loss():
    s, t = (torch.tensor([[z]], dtype=torch.float64) for z in ([0.5, 1.0, -1.0], [2.0, 1.0, 0.0]))
    method = build_method("dive")
    method.encoders, method.cls, method.teacher = nn.Identity(), Constant(s), Constant(t)
    method.log_prior, method.stage = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log(), "student"
    terms = method(replace(make_batch(method), y=torch.tensor([2])))
    assert 2 * terms["bc"].item() == pytest.approx(3.1479299113316737, rel=1e-12)
    assert sum(terms.values()).item() == pytest.approx(1.6666956435240214, rel=1e-12)


def test_cbd_has_the_worked_loss():
    method = build_method("cbd")
    v, aim = (torch.tensor([[row]], dtype=torch.float64) for row in ([3.0, 4.0], [4.0, 3.0]))
    method.encoders, method.teacher = Constant(v), Constant(aim)
    method.cls, method.stage = Constant(torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)), "student"
    terms = method(replace(make_batch(method), y=torch.tensor([0])))
    assert sum(terms.values()).item() == pytest.approx(1.7879570125109352, rel=1e-12)


def test_the_samplers_and_views_are_those_of_the_papers():
    assert [stage.samplers for stage in build_method("dive").stages()] == [("instance",)] * 2
    assert [stage.samplers for stage in build_method("cbd").stages()] == [("instance",), ("balanced",)]
    ssd = build_method("ssd")
    assert [stage.samplers for stage in ssd.stages()] == [("instance",), ("balanced",), ("instance",)]
    assert ssd.views == ("strong", "moco")


def test_the_key_network_of_ssd_uses_the_statistics_of_its_batches_in_the_first_stage():
    method = build_method("ssd")
    enter_stage(method, method.stages()[0])
    assert method.key.training and method.encoders.training and not method.teacher.copy.training
    mean = method.key.copy[0].experts[0].body.layers[1].running_mean
    assert not mean.any()
    method(make_batch(method))
    assert mean.any()


def test_the_first_stage_of_ssd_adds_a_contrast_and_its_queue_bears_labels():
    method = build_method("ssd")
    enter_stage(method, method.stages()[0])
    batch = make_batch(method)
    terms = method(batch)
    assert terms["ce"].item() == pytest.approx(cross_entropy(method.logits(batch.views[0]), batch.y).mean().item())
    method.after_step()
    assert method.queue.labels[:16].tolist() == batch.y.tolist()
    assert (method.queue.labels[16:] == -1).all()


def test_the_teacher_of_ssd_has_the_learned_factors_and_the_student_none():
    method, before = to_last_stage("ssd")
    assert not torch.equal(before["scale.factor"], torch.ones(1, 1, 4)) and (method.scale.factor == 1).all()
    x = make_batch(method).views[0]
    old = build_method("ssd")
    old.load_state_dict(before)
    assert torch.equal(method.teacher(x), old.eval().logits(x))


def test_the_soft_head_is_tested_and_the_hard_head_learns_from_labels():
    method, _ = to_last_stage("ssd")
    batch = make_batch(method)
    v = method.encoders(batch.views[0])
    terms = method(batch)
    assert terms["ce"].item() == pytest.approx(cross_entropy(method.hard(v), batch.y).mean().item())
    expected = tempered_kl(method.cls(v), method.teacher(batch.views[0]), 2.0).mean()
    assert terms["distil"].item() == pytest.approx(expected.item())
    assert torch.equal(method.logits(batch.views[0]), method.cls(v))
    assert "hard.weight" not in method.inference_state()
