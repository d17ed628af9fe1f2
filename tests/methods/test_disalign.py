"""DisAlign as a method."""

import pytest
import torch

from longtail.testing import COUNTS, build_method, enter_stage, make_batch


def test_the_calibration_is_affine_for_each_logit_weighted_by_a_confidence_and_starts_as_identity():
    method = build_method("disalign", experts=2)
    x = make_batch(method).views[0]
    v = method.eval().features(x)
    z = method.cls(v)
    assert torch.allclose(method.logits(x), z, atol=1e-6)
    calibration = method.calibration
    with torch.no_grad():
        calibration.a.normal_()
        calibration.b.normal_()
    computed = method.logits(x)
    for k in range(2):
        for i in range(len(x)):
            score = (calibration.confidence.weight[k, 0] * v[k, i]).sum() + calibration.confidence.bias[k, 0]
            s = score.sigmoid()
            for c in range(4):
                aligned = calibration.a[k, 0, c] * z[k, i, c] + calibration.b[k, 0, c]
                assert computed[k, i, c].item() == pytest.approx((s * aligned + (1 - s) * z[k, i, c]).item(), abs=1e-4)


def test_only_the_calibration_is_trained_in_the_second_stage_with_weights_of_a_power_of_1_over_n():
    method = build_method("disalign")
    assert set(enter_stage(method, method.stages()[1])) == set(method.calibration.parameters())
    batch = make_batch(method)
    p = method.logits(batch.views[0])[0].softmax(-1)
    weights = [COUNTS[y] ** -1.2 for y in batch.y]
    expected = sum(w * -p[i, y].log().item() for i, (y, w) in enumerate(zip(batch.y, weights, strict=True)))
    assert method(batch)["aligned"].item() == pytest.approx(expected / sum(weights), rel=1e-4)
