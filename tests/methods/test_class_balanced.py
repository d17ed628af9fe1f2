"""Class-balanced loss as a method."""

import pytest

from longtail.testing import COUNTS, build_method, make_batch


@pytest.mark.parametrize("loss, power", [("ce", 0.0), ("focal", 0.5)])
def test_each_sample_is_weighted_by_the_inverse_effective_number_of_its_class(loss, power):
    method = build_method("class_balanced", beta=0.9, loss=loss, gamma=0.5)
    batch = make_batch(method)
    p = method.logits(batch.views[0])[0].softmax(-1)
    weights = [0.1 / (1 - 0.9**n) for n in COUNTS]
    expected = 0.0
    for i, y in enumerate(batch.y):
        weight = weights[y] * len(COUNTS) / sum(weights)
        expected += weight * ((1 - p[i, y]) ** power * -p[i, y].log()).item() / len(batch.y)
    assert method(batch)["balanced"].item() == pytest.approx(expected, rel=1e-4)
