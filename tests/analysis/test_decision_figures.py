"""The figures of a calibrated run: coverage, size, risk and reliability against loops over images."""

import numpy as np
import pytest
from made_up_outputs import made_up

from longtail.analysis import recalibration, risk, sets

COUNTS = [500, 300, 50, 9, 3]


@pytest.fixture
def outputs():
    return made_up(COUNTS, images=200)


def test_coverage_and_size_are_those_of_a_loop_over_the_sets(outputs):
    found = sets.compute(outputs)
    z, prior = outputs.logits.mean(0).double(), np.array(COUNTS) / sum(COUNTS)
    hits, sizes = [], []
    for row, label in zip(z, outputs.labels.tolist(), strict=True):
        weights = np.exp(row.numpy() / 0.7) * prior  # the method's logits assume equal frequencies
        ratio = weights / weights.sum() / prior
        members = {c for c in range(5) if ratio[c] >= 0.9} | {int(row.argmax())}
        hits.append(label in members)
        sizes.append(len(members))
    few = [outputs.groups[label] == "few" for label in outputs.labels.tolist()]
    assert found["coverage"][0] == pytest.approx(100 * np.mean(hits)) and found["size"][0] == pytest.approx(
        np.mean(sizes)
    )
    assert found["coverage"][3] == pytest.approx(100 * np.mean(np.array(hits)[few]))
    assert found["asked"] == 90 and found["images"].tolist()[0] == 200


def test_risk_is_the_share_of_errors_among_the_most_confident_images(outputs):
    found = risk.compute(outputs)
    p = (outputs.logits.mean(0).double() / 0.7).softmax(-1)
    ranked = sorted(range(200), key=lambda i: -p[i].max().item())
    wrong = [p[i].argmax() != outputs.labels[i] for i in ranked]
    few = [outputs.groups[outputs.labels[i]] == "few" for i in ranked]
    for share in (1, 50, 100):
        answered = 2 * share
        assert found["all"][share - 1] == pytest.approx(100 * np.mean(wrong[:answered]))
        chosen = [w for w, f in zip(wrong[:answered], few[:answered], strict=True) if f]
        expected = 100 * np.mean(chosen) if chosen else float("nan")
        assert found["few"][share - 1] == pytest.approx(expected, nan_ok=True)


def test_reliability_after_is_that_of_the_tempered_logits(outputs):
    found = recalibration.compute(outputs)
    p = (outputs.logits.mean(0).double() / 0.7).softmax(-1)
    confidence, correct = p.amax(-1).numpy(), (p.argmax(-1) == outputs.labels).numpy()
    last = confidence > 14 / 15
    assert found["accuracy_after"][-1] == pytest.approx(100 * correct[last].mean())
    assert found["confidence_after"][-1] == pytest.approx(100 * confidence[last].mean())
    assert found["temperature"] == 0.7 and found["ece_before"] != found["ece_after"]
