"""Weight balancing as a method."""

import pytest
import torch

from longtail.testing import COUNTS, build_method, enter_stage, make_batch, train_steps


def test_maxnorm_caps_each_class_after_every_step_of_the_second_stage_and_changes_no_direction():
    method = build_method("ltr_wd", cap=0.25, experts=2)
    with torch.no_grad():
        method.cls.weight.mul_(torch.tensor([8.0, 4.0, 2.0, 1.0]).view(1, 4, 1))
    before = method.cls.weight.detach().clone()
    method.after_step()
    assert torch.equal(before, method.cls.weight)  # not in the first stage
    enter_stage(method, method.stages()[1])
    method.after_step()
    for k in range(2):
        norms = [before[k, c].norm().item() for c in range(4)]
        cap = min(norms) + 0.25 * (max(norms) - min(norms))
        for c in range(4):
            factor = min(1.0, cap / norms[c])
            assert torch.allclose(method.cls.weight[k, c], before[k, c] * factor, atol=1e-6)


def test_the_second_stage_has_its_own_weight_decay_and_the_class_balanced_loss():
    method = build_method("ltr_wd")
    first, second = method.stages()
    assert first.weight_decay is None and second.weight_decay == 0.1 and second.trains == ("cls",)
    enter_stage(method, second)
    batch = make_batch(method)
    p = method.logits(batch.views[0])[0].softmax(-1)
    weights = [(1 - 0.9999) / (1 - 0.9999**n) for n in COUNTS]
    expected = [4 * weights[y] / sum(weights) * -p[i, y].log().item() for i, y in enumerate(batch.y)]
    assert method(batch)["balanced"].item() == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_the_cap_of_the_second_stage_survives_a_checkpoint():
    method, other = build_method("ltr_wd"), build_method("ltr_wd", seed=1)
    train_steps(method, 2)
    enter_stage(other, other.stages()[1])
    assert not torch.equal(method.largest, other.largest)
    other.load_state_dict(method.state_dict())
    assert torch.equal(method.largest, other.largest)
