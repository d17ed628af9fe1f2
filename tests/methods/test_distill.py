"""Distill: one network learns from labels and from the balanced logits of a finished run."""

import math

import pytest
import torch
from torch import nn

from longtail import LongtailError, methods
from longtail.methods.bc import BalancedClassifier
from longtail.methods.distill import Distill
from longtail.nets import VectorNet
from longtail.testing import build_method, check_method, enter_stage, make_batch


class Fixed(nn.Module):
    """A teacher with an answer for each image of a batch."""

    def __init__(self, logits: torch.Tensor):
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, x):
        return self.logits


class Answer(nn.Module):
    """The mean logits of three small networks, as a finished run gives them."""

    def __init__(self, method: methods.Method):
        super().__init__()
        self.method = method

    def forward(self, x):
        return self.method.logits(x).mean(0)


class Taught(Distill):
    """Distill with three random networks as its teacher."""

    def __init__(self, counts, net):
        super().__init__(counts, net)
        with torch.random.fork_rng():
            torch.manual_seed(11)
            self.take_teacher(Answer(BalancedClassifier(counts, net, experts=3)))


def test_distill_with_a_teacher_passes_the_contract_of_methods():
    check_method(Taught)


def build_taught(**options) -> tuple[methods.Method, torch.Tensor, torch.Tensor]:
    """Build a method with a fixed teacher; returns it with the student's and the teacher's logits of a batch, (N, C)."""
    method = build_method("distill", **options)
    t = 2 * torch.randn(16, 4, generator=torch.Generator().manual_seed(3))
    method.take_teacher(Fixed(t))
    enter_stage(method, method.stages()[0])
    method.eval()
    return method, method.logits(make_batch(method).views[0])[0].detach(), t


def softmax(z: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in z)
    return [math.exp(value) / total for value in z]


@pytest.mark.parametrize("bkt", [False, True])
def test_the_loss_is_that_of_a_naive_loop(bkt):
    method, s, t = build_taught(alpha=0.3, temperature=3.0, bkt=bkt)
    batch, prior = make_batch(method), [n / 75 for n in (40, 20, 10, 5)]
    bc, divergences, weights = 0.0, [], []
    for own, taught, y in zip(s.tolist(), t.tolist(), batch.y.tolist(), strict=True):
        put_back = [z + math.log(p) for z, p in zip(own, prior, strict=True)]
        bc -= math.log(softmax(put_back)[y])
        q = softmax([(z + math.log(p)) / 3 for z, p in zip(taught, prior, strict=True)])
        u = softmax([z / 3 for z in put_back])
        own_sd, taught_sd = (torch.tensor(z).double().std().item() for z in (own, taught))
        ratio = math.log(softmax([z / own_sd for z in own])[y]) / math.log(softmax([z / taught_sd for z in taught])[y])
        weights.append(ratio if bkt else 1.0)
        divergences.append(9 * sum(a * math.log(a / b) for a, b in zip(q, u, strict=True)))
    kl = 16 * sum(w * d for w, d in zip(weights, divergences, strict=True)) / sum(weights)
    terms = method(batch)
    assert terms["bc"].item() == pytest.approx(0.7 * bc / 16, rel=1e-4)
    assert terms["distil"].item() == pytest.approx(0.3 * kl / 16, rel=1e-3)


def test_a_student_that_agrees_with_its_teacher_has_nothing_to_distill():
    method, s, _ = build_taught()
    method.take_teacher(Fixed(s))
    assert method(make_batch(method))["distil"].abs().item() < 1e-6


def test_the_teacher_is_no_part_of_what_a_run_keeps():
    method, *_ = build_taught()
    assert any(name.startswith("teacher") for name in method.state_dict())
    assert not any(name.startswith("teacher") for name in method.inference_state())


def test_without_a_finished_run_there_is_one_line():
    method = build_method("distill", net=VectorNet("", neck=16, inputs=12))
    with pytest.raises(LongtailError, match="take `longtail distill RUN`"):
        enter_stage(method, method.stages()[0])


def test_the_options_read_from_the_source_are_those_of_the_class():
    assert methods.get_options("distill") == methods.read_signature(Distill)
