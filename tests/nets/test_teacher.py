"""A teacher is a frozen copy that computes as in a test."""

import torch
from torch import nn

from longtail import nets


def build_trained() -> tuple[nn.Module, nn.Module]:
    """Build an encoder with running statistics of its own, and a head."""
    torch.manual_seed(0)
    encoders, head = nets.Experts(nets.Net("conv4").encoder, 1), nets.Heads(1, 64, 3)
    for _ in range(3):
        encoders(torch.randn(16, 3, 8, 8) * 2 + 1)
    return encoders, head


def test_a_teacher_computes_what_its_sources_compute_in_evaluation_mode_even_while_a_method_trains():
    encoders, head = build_trained()
    method = nn.ModuleList([nets.Teacher(encoders, head)]).train()
    x = torch.randn(4, 3, 8, 8)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    z = method[0](x)
    assert torch.equal(z, head(encoders.eval()(x))) and not z.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert not any(p.requires_grad for p in method.parameters())


def test_a_teacher_keeps_what_it_was_until_it_takes_its_sources_with_their_running_statistics():
    encoders, head = build_trained()
    teacher = nets.Teacher(encoders, head)
    x = torch.randn(4, 3, 8, 8)
    before = teacher(x)
    with torch.no_grad():
        for p in head.parameters():
            p.add_(1.0)
    encoders(torch.randn(16, 3, 8, 8) - 3)
    assert torch.equal(teacher(x), before)
    teacher.take(encoders, head)
    assert torch.equal(teacher(x), head(encoders.eval()(x))) and not torch.equal(teacher(x), before)
    assert not any(p.requires_grad for p in teacher.parameters())
