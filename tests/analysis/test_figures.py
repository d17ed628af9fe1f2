"""The arrays of each figure against loops, and against scikit-learn where it has them."""

import math
import re

import numpy as np
import pytest
import torch
from made_up_evidence import made_up
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from longtail import LongtailError
from longtail.analysis import accuracy, confusion, curves, distance, embedding, reliability, tau, transfer
from longtail.analysis.style import moving_mean

COUNTS = [5, 300, 50, 120, 19, 20]  # order: 1, 3, 2, 5, 4, 0


@pytest.fixture
def made():
    return made_up(COUNTS, untested=(4,))


def test_accuracy_is_a_loop_over_classes_the_largest_first(made):
    found = accuracy.compute(made)
    assert found["name"].tolist() == [f"class {c}" for c in (1, 3, 2, 5, 4, 0)]
    assert found["group"].tolist() == ["many", "many", "medium", "medium", "few", "few"]
    chosen = made.plain.mean(0).argmax(-1).tolist()
    for i, c in enumerate((1, 3, 2, 5, 4, 0)):
        hits = [p == c for p, y in zip(chosen, made.labels.tolist(), strict=True) if y == c]
        assert found["test_images"][i] == len(hits) and found["train_images"][i] == COUNTS[c]
        if c == 4:
            assert math.isnan(found["accuracy"][i])
        else:
            assert found["accuracy"][i] == pytest.approx(100 * sum(hits) / len(hits))
    words = accuracy.describe(found)
    assert "300 training images down to 5" in words and "1 classes have no test image" not in words
    assert "1 class has no test image" in words and f"{np.nanmean(found['accuracy'][:2]):.1f} %" in words


def test_curves_are_the_columns_of_the_metrics_with_nan_where_empty(made):
    found = curves.compute(made)
    assert curves.list_terms(found) == ["bc", "logit"] and "lr" not in found
    assert found["loss"].tolist() == [3, 1.5, 1] and found["stage"].tolist() == ["train"] * 3
    assert math.isnan(found["test_top1"][0]) and found["test_top1"][1:].tolist() == [40, 55.5]
    assert "from 3 to 1 nats" in curves.describe(found) and "all 55.5 %" in curves.describe(found)


def test_reliability_agrees_with_scikit_learn_and_its_ece_with_the_bins(made):
    found = reliability.compute(made)
    p = made.plain.mean(0).double().softmax(-1)
    confidence, chosen = p.max(-1)
    right = (chosen == made.labels).numpy()
    true, mean = calibration_curve(right, confidence.numpy(), n_bins=15)
    filled = ~np.isnan(found["accuracy"])
    np.testing.assert_allclose(found["accuracy"][filled], 100 * true)
    np.testing.assert_allclose(found["confidence"][filled], 100 * mean)
    assert found["share"].sum() == pytest.approx(100) and (found["share"] > 0).tolist() == filled.tolist()
    gaps = [
        found["share"][b] / 100 * abs(found["accuracy"][b] - found["confidence"][b]) for b in range(15) if filled[b]
    ]
    assert found["ece"] == pytest.approx(sum(gaps))
    assert f"{found['ece']:.1f} %" in reliability.describe(found)


@pytest.mark.parametrize("sure, words", [(30.0, "too sure"), (0.2, "not sure enough")])
def test_reliability_says_which_way_a_model_errs(made, sure, words):
    made.plain = made.plain * sure
    assert words in reliability.describe(reliability.compute(made))


def test_confusion_is_scikit_learns_with_truth_to_the_right_and_classes_by_training_images(made):
    found = confusion.compute(made)
    chosen = made.plain.mean(0).argmax(-1)
    order = made.order
    assert (found["matrix"] == confusion_matrix(made.labels, chosen, labels=order).T).all()
    lost = sum(p in (1, 3, 2, 5) and y in (4, 0) for p, y in zip(chosen.tolist(), made.labels.tolist(), strict=True))
    of = int((made.labels == 0).sum())
    assert f"Of few-shot images {100 * lost / of:.1f} %" in confusion.describe(found)


def test_transfer_is_a_loop_over_teachers_and_images(made):
    found = transfer.compute(made)
    experts, images, _ = made.plain.shape
    for i, c in enumerate(made.order):
        p = [
            math.exp(z[c] / 2) / sum(math.exp(v / 2) for v in z)  # the temperature of the made-up run is 2
            for expert in made.plain.tolist()
            for z in expert
        ]
        votes = [int(np.argmax(z)) == c for expert in made.plain.tolist() for z in expert]
        assert found["probability"][i] == pytest.approx(sum(p) / len(p))
        assert found["predictions"][i] == pytest.approx(sum(votes) / experts)
        assert found["fair"][i] == pytest.approx((made.labels == c).sum().item() / images)
    assert found["probability"].sum() == pytest.approx(1)


def test_distance_is_a_loop_over_pairs_and_classes_and_na_for_an_untested_class(made):
    found = distance.compute(made)
    assert distance.list_pairs(found) == ["1-2", "1-3", "2-3"]
    for pair in distance.list_pairs(found):
        a, b = (made.features[int(k) - 1].tolist() for k in pair.split("-"))
        for i, c in enumerate(made.order):
            each = [math.dist(a[n], b[n]) for n, y in enumerate(made.labels.tolist()) if y == c]
            assert found[pair][i] == pytest.approx(sum(each) / len(each) if each else math.nan, nan_ok=True)


def test_smoothing_is_a_mean_over_a_window_without_nan():
    values = np.arange(90.0)
    values[10] = np.nan
    found = moving_mean(values, 3)
    for i in range(90):
        assert found[i] == pytest.approx(np.nanmean(values[max(i - 3, 0) : i + 4]))
    assert np.isnan(moving_mean(np.array([np.nan, 1.0]), 0)).tolist() == [True, False]


def test_a_single_expert_has_no_distance_and_says_so():
    found = distance.compute(made_up(COUNTS, experts=1))
    assert distance.list_pairs(found) == [] and distance.describe(found).startswith("Not applicable")


def test_tau_is_a_loop_and_zero_is_the_model_as_trained(made):
    found = tau.compute(made)
    prior = np.array(COUNTS) / sum(COUNTS)
    z = made.plain.mean(0).numpy()
    for i in (0, 10, 25):
        chosen = (z - found["tau"][i] * np.log(prior)).argmax(-1)
        assert found["all"][i] == pytest.approx(100 * (chosen == made.labels.numpy()).mean())
        many = [100 * (chosen[made.labels == c] == c).mean() for c in (1, 3)]
        assert found["many"][i] == pytest.approx(sum(many) / 2)
    assert found["tau"][10] == 0 and f"(tau 0) {found['all'][10]:.1f} %" in tau.describe(found)
    assert "oracle" in tau.describe(found)


def test_embedding_takes_a_few_classes_of_each_group_and_only_tested_ones():
    counts = [500] * 9 + [50] * 3 + [5] * 6
    made = made_up(counts, untested=(17, 3), images=600)
    chosen = embedding.choose_classes(made).tolist()
    assert len(chosen) == 4 + 3 + 4 and not {17, 3} & set(chosen) and {0, 8, 9, 10, 11, 12, 16} <= set(chosen)
    found = embedding.compute(made)
    assert found["place"].shape == (len(found["label"]), 2) and np.isfinite(found["place"]).all()
    assert (embedding.compute(made)["place"] == found["place"]).all()
    assert set(found["label"]) == set(chosen)


def test_neighbours_alike_is_a_loop():
    g = np.random.default_rng(0)
    features, labels = g.normal(size=(30, 4)), g.integers(0, 2, 30)
    near = [min((math.dist(features[i], features[j]), j) for j in range(30) if j != i)[1] for i in range(30)]
    assert embedding.nearest_neighbor_purity(features, labels) == pytest.approx(100 * (labels[near] == labels).mean())


def test_an_embedding_of_two_images_is_refused():
    with pytest.raises(LongtailError, match=r"2 test images; an embedding needs at least 3"):
        embedding.compute(made_up([5, 3], images=2))


def test_numbers_in_the_words_of_a_figure_are_finite(made):
    for module in (accuracy, curves, reliability, confusion, transfer, distance, tau, embedding):
        words = module.describe(module.compute(made))
        assert re.search(r"\d", words) and "nan" not in words.split()
    assert torch.isfinite(made.plain).all()
