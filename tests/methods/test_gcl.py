"""Gaussian clouded logit adjustment as a method."""

import torch

from longtail.losses import cross_entropy
from longtail.testing import COUNTS, build_method, enter_stage, make_batch


def test_the_loss_is_cross_entropy_of_cosines_minus_noise_of_size_log_n_max_over_n():
    method = build_method("gcl")
    batch = make_batch(method)
    torch.manual_seed(3)
    loss = method(batch)["gcl"]
    torch.manual_seed(3)
    noise = (torch.randn(1, 16, 4) / 3).clamp(-1, 1).abs()
    n = torch.tensor(COUNTS).float()
    size = (n.max() / n).log() / (n.max() / n.min()).log()
    z = method.logits(batch.views[0]) - 30 * 0.5 * size * noise
    assert torch.allclose(loss, cross_entropy(z, batch.y).mean(), atol=1e-5)


def test_the_second_stage_samples_by_effective_number_and_trains_only_the_head():
    method = build_method("gcl")
    first, second = method.stages()
    assert first.samplers == ("instance",) and second.samplers == ("effective_number",)
    assert set(enter_stage(method, second)) == set(method.cls.parameters()) and not method.encoders.training
