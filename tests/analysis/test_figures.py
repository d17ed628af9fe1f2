"""The arrays of each figure equal those of loops or of scikit-learn."""

import math
import re

import numpy as np
import pytest
import torch
from made_up_outputs import made_up
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from longtail import LongtailError
from longtail.analysis import accuracy, confusion, curves, distance, embedding, expert_tau, reliability, tau, transfer
from longtail.analysis.style import moving_mean

COUNTS = [5, 300, 50, 120, 19, 20]  # order: 1, 3, 2, 5, 4, 0


@pytest.fixture
def made():
    return made_up(COUNTS, untested=(4,))


def test_accuracy_equals_a_loop_over_classes_with_the_largest_first(made):
    arrays = accuracy.compute(made)
    assert arrays["name"].tolist() == [f"class {c}" for c in (1, 3, 2, 5, 4, 0)]
    assert arrays["group"].tolist() == ["many", "many", "medium", "medium", "few", "few"]
    chosen = made.logits.mean(0).argmax(-1).tolist()
    for i, c in enumerate((1, 3, 2, 5, 4, 0)):
        hits = [p == c for p, y in zip(chosen, made.labels.tolist(), strict=True) if y == c]
        assert arrays["test_images"][i] == len(hits) and arrays["train_images"][i] == COUNTS[c]
        if c == 4:
            assert math.isnan(arrays["accuracy"][i])
        else:
            assert arrays["accuracy"][i] == pytest.approx(100 * sum(hits) / len(hits))
    words = accuracy.describe(arrays)
    assert "300 training images down to 5" in words and "1 classes have no test image" not in words
    assert "1 class has no test image" in words and f"{np.nanmean(arrays['accuracy'][:2]):.1f} %" in words


def test_curves_are_the_columns_of_the_metrics_with_nan_where_empty(made):
    arrays = curves.compute(made)
    assert curves.list_terms(arrays) == ["bc", "logit"] and "lr" not in arrays
    assert arrays["loss"].tolist() == [3, 1.5, 1] and arrays["stage"].tolist() == ["train"] * 3
    assert math.isnan(arrays["test_top1"][0]) and arrays["test_top1"][1:].tolist() == [40, 55.5]
    assert "from 3 to 1 nats" in curves.describe(arrays) and "all 55.5 %" in curves.describe(arrays)


def test_reliability_agrees_with_scikit_learn_and_its_ece_with_the_bins(made):
    arrays = reliability.compute(made)
    p = made.logits.mean(0).double().softmax(-1)
    confidence, chosen = p.max(-1)
    right = (chosen == made.labels).numpy()
    true, mean = calibration_curve(right, confidence.numpy(), n_bins=15)
    filled = ~np.isnan(arrays["accuracy"])
    np.testing.assert_allclose(arrays["accuracy"][filled], 100 * true)
    np.testing.assert_allclose(arrays["confidence"][filled], 100 * mean)
    assert arrays["share"].sum() == pytest.approx(100) and (arrays["share"] > 0).tolist() == filled.tolist()
    gaps = [
        arrays["share"][b] / 100 * abs(arrays["accuracy"][b] - arrays["confidence"][b]) for b in range(15) if filled[b]
    ]
    assert arrays["ece"] == pytest.approx(sum(gaps))
    assert f"{arrays['ece']:.1f} %" in reliability.describe(arrays)


@pytest.mark.parametrize("scale, word", [(30.0, "overconfident"), (0.2, "underconfident")])
def test_reliability_names_over_and_underconfidence(made, scale, word):
    made.logits = made.logits * scale
    assert word in reliability.describe(reliability.compute(made))


def test_the_confusion_matrix_equals_scikit_learn_transposed_with_classes_by_training_images(made):
    arrays = confusion.compute(made)
    chosen = made.logits.mean(0).argmax(-1)
    order = made.order
    assert (arrays["matrix"] == confusion_matrix(made.labels, chosen, labels=order).T).all()
    lost = sum(p in (1, 3, 2, 5) and y in (4, 0) for p, y in zip(chosen.tolist(), made.labels.tolist(), strict=True))
    few = int((made.labels == 0).sum())
    assert f"Of the few-shot images {100 * lost / few:.1f} %" in confusion.describe(arrays)


def test_transfer_equals_a_loop_over_teachers_and_images(made):
    arrays = transfer.compute(made)
    experts, images, _ = made.logits.shape
    for i, c in enumerate(made.order):
        p = [
            math.exp(z[c] / 2) / sum(math.exp(v / 2) for v in z)  # the temperature of the made-up run is 2
            for expert in made.logits.tolist()
            for z in expert
        ]
        votes = [int(np.argmax(z)) == c for expert in made.logits.tolist() for z in expert]
        assert arrays["probability"][i] == pytest.approx(sum(p) / len(p))
        assert arrays["predictions"][i] == pytest.approx(sum(votes) / experts)
        assert arrays["fair"][i] == pytest.approx((made.labels == c).sum().item() / images)
    assert arrays["probability"].sum() == pytest.approx(1)


def test_distance_equals_a_loop_over_pairs_and_classes_with_nan_for_an_untested_class(made):
    arrays = distance.compute(made)
    assert distance.list_pairs(arrays) == ["1-2", "1-3", "2-3"]
    for pair in distance.list_pairs(arrays):
        a, b = (made.features[int(k) - 1].tolist() for k in pair.split("-"))
        for i, c in enumerate(made.order):
            each = [math.dist(a[n], b[n]) for n, y in enumerate(made.labels.tolist()) if y == c]
            assert arrays[pair][i] == pytest.approx(sum(each) / len(each) if each else math.nan, nan_ok=True)


def test_the_moving_mean_equals_a_loop_over_windows_without_nan():
    values = np.arange(90.0)
    values[10] = np.nan
    arrays = moving_mean(values, 3)
    for i in range(90):
        assert arrays[i] == pytest.approx(np.nanmean(values[max(i - 3, 0) : i + 4]))
    assert np.isnan(moving_mean(np.array([np.nan, 1.0]), 0)).tolist() == [True, False]


def test_a_single_expert_has_no_distance_and_the_description_explains_why():
    arrays = distance.compute(made_up(COUNTS, experts=1))
    assert distance.list_pairs(arrays) == [] and distance.describe(arrays).startswith("Not applicable")


def test_tau_equals_a_loop_and_zero_is_the_model_as_trained(made):
    arrays = tau.compute(made)
    prior = np.array(COUNTS) / sum(COUNTS)
    z = made.logits.mean(0).numpy()
    for i in (0, 10, 25):
        chosen = (z - arrays["tau"][i] * np.log(prior)).argmax(-1)
        assert arrays["all"][i] == pytest.approx(100 * (chosen == made.labels.numpy()).mean())
        many = [100 * (chosen[made.labels == c] == c).mean() for c in (1, 3)]
        assert arrays["many"][i] == pytest.approx(sum(many) / 2)
    assert arrays["tau"][10] == 0 and f"(tau 0): {arrays['all'][10]:.1f} %" in tau.describe(arrays)
    assert "oracle" in tau.describe(arrays)


def test_each_expert_is_swept_alone_and_tau_one_is_a_model_trained_for_a_uniform_prior(made):
    arrays = expert_tau.compute(made)
    log_prior = np.log(np.array(COUNTS) / sum(COUNTS))
    models = [*made.logits.numpy(), made.logits.mean(0).numpy()]
    assert arrays["trained"] == 1 and expert_tau.list_models(arrays) == ["expert 1", "expert 2", "expert 3", "ensemble"]
    for name, z in zip(expert_tau.list_models(arrays), models, strict=True):
        for i in (0, 20, 25):
            chosen = (z + (1 - arrays["tau"][i]) * log_prior).argmax(-1)
            assert arrays[name][i] == pytest.approx(100 * (chosen == made.labels.numpy()).mean())
    best = arrays["tau"][arrays["expert 2"].argmax()]
    assert f"expert 2 {best:.2f} ({arrays['expert 2'].max():.1f} %" in expert_tau.describe(arrays)


def test_a_model_trained_for_the_training_prior_or_for_none_in_particular_is_swept_from_tau_zero(made):
    for assumed in (made.method.log_prior + 7, None):
        made.method.assumed_log_prior = lambda assumed=assumed: assumed
        arrays = expert_tau.compute(made)
        assert arrays["trained"] == pytest.approx(0, abs=1e-6)
        right = made.logits[0].argmax(-1) == made.labels
        assert arrays["expert 1"][0] == pytest.approx(100 * right.double().mean().item())


def test_embedding_of_up_to_twelve_classes_takes_them_all():
    made = made_up([500] * 8 + [50] * 2, images=300)
    assert embedding.choose_classes(made).tolist() == list(range(10))


def test_embedding_takes_a_few_classes_of_each_group_and_only_tested_ones():
    counts = [500] * 9 + [50] * 3 + [5] * 6
    made = made_up(counts, untested=(17, 3), images=600)
    chosen = embedding.choose_classes(made).tolist()
    assert len(chosen) == 4 + 3 + 4 and not {17, 3} & set(chosen) and {0, 8, 9, 10, 11, 12, 16} <= set(chosen)
    arrays = embedding.compute(made)
    assert arrays["place"].shape == (len(arrays["label"]), 2) and np.isfinite(arrays["place"]).all()
    assert (embedding.compute(made)["place"] == arrays["place"]).all()
    assert set(arrays["label"]) == set(chosen)


def test_nearest_neighbor_purity_equals_a_loop():
    g = np.random.default_rng(0)
    features, labels = g.normal(size=(30, 4)), g.integers(0, 2, 30)
    near = [min((math.dist(features[i], features[j]), j) for j in range(30) if j != i)[1] for i in range(30)]
    assert embedding.nearest_neighbor_purity(features, labels) == pytest.approx(100 * (labels[near] == labels).mean())


def test_an_embedding_of_two_images_is_refused():
    with pytest.raises(LongtailError, match=r"2 test images; an embedding needs at least 3"):
        embedding.compute(made_up([5, 3], images=2))


def test_numbers_in_a_description_are_finite(made):
    for module in (accuracy, curves, reliability, confusion, transfer, distance, tau, expert_tau, embedding):
        words = module.describe(module.compute(made))
        assert re.search(r"\d", words) and "nan" not in words.split()
    assert torch.isfinite(made.logits).all()
