"""Distillation from teachers: DiVE, SSD and LFME against numbers worked out by hand, in float64."""

import pytest
import torch

from longtail import losses


def double(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


S, T = double(0.5, 1.0, -1.0), double(2.0, 1.0, 0.0)


@pytest.mark.parametrize(
    "temperature, power, expected",
    [(3.0, 0.5, 0.18546137571636917), (2.0, 0.5, 0.17962147164522652), (6.0, 1.0, 0.20759695921867527)],
)
def test_tempered_kl_has_the_worked_values_of_dive(temperature, power, expected):
    assert losses.tempered_kl(S, T, temperature, power).item() == pytest.approx(expected, rel=1e-12)


def test_tempered_kl_is_the_divergence_from_the_teachers_softmax_to_a_power():
    q = (T / 3).softmax(-1) ** 0.5
    q = q / q.sum()
    assert torch.allclose(q, double(0.39016578775176, 0.33026820900942, 0.27956600323882), atol=1e-13)
    assert torch.allclose(q, (T / 6).softmax(-1))  # T 6 at power 1 has the same teacher
    expected = sum(9 * a * (a / b).log() for a, b in zip(q, (S / 3).softmax(-1), strict=True))
    assert losses.tempered_kl(S, T, 3.0, 0.5).item() == pytest.approx(expected.item(), rel=1e-12)


def test_tempered_kl_has_the_worked_value_of_ssd():
    assert losses.tempered_kl(double(2, 1, 0), double(1, 2, 0), 2.0).item() == pytest.approx(
        0.3985690106743113, rel=1e-12
    )


def test_tempered_kl_of_equal_logits_is_zero_and_its_gradient_too():
    s = S.clone().requires_grad_()
    loss = losses.tempered_kl(s, S, 3.0)
    (gradient,) = torch.autograd.grad(loss, s)
    assert loss.item() == 0 and torch.allclose(gradient, double(0, 0, 0), atol=1e-15)


def test_subset_kl_has_the_worked_value_and_reads_nothing_outside_of_the_subset():
    s, subset = double(1, 0.5, -0.5, 2).unsqueeze(0), torch.tensor([False, True, True, False]).view(1, 1, 4)
    t = double(torch.nan, 0.2, 1, torch.inf).view(1, 1, 4)
    found = losses.subset_kl(s, t, subset, 2.0)
    assert found.shape == (1, 1) and found.item() == pytest.approx(0.09988062588136074, rel=1e-12)


def test_subset_kl_of_several_teachers_equals_a_loop_and_has_finite_gradients():
    torch.manual_seed(0)
    s, t = torch.randn(3, 5, dtype=torch.float64, requires_grad=True), torch.randn(2, 3, 5, dtype=torch.float64)
    subset = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]], dtype=torch.bool).unsqueeze(1)
    found = losses.subset_kl(s, t.masked_fill(~subset, -torch.inf), subset, 2.0)
    for k, own in enumerate(([0, 1], [2, 3, 4])):
        for i in range(3):
            q, p = (t[k, i, own] / 2).softmax(-1), (s[i, own] / 2).softmax(-1)
            assert found[k, i].item() == pytest.approx((q * (q / p).log()).sum().item(), rel=1e-9)
    (gradient,) = torch.autograd.grad(found.sum(), s)
    assert gradient.isfinite().all() and gradient.any()


def test_the_weight_of_an_expert_falls_from_1_to_0_as_the_student_catches_up():
    student = double(0.1, 0.18, 0.3, 0.45, 0.6, 0.7)
    found = losses.expert_weight(torch.stack([student, torch.full_like(student, 0.6)]), 0.3)
    assert torch.allclose(found, double(1, 1, 0.7142857142857143, 0.3571428571428571, 0, 0), rtol=1e-12, atol=1e-15)


def test_an_expert_without_right_answers_teaches_only_a_student_without_any():
    assert losses.expert_weight(torch.stack([double(0, 0.1), double(0, 0)]), 0.3).tolist() == [1, 0]
