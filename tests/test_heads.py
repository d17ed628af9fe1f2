"""Heads on vectors: scikit-learn's checks, every method, labels, options, state of the process, and pickles."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from longtail import Heads, LongtailError, fit_features
from longtail.methods import METHODS, get_method_class
from longtail.methods.bc import BalancedClassifier

ROOT = Path(__file__).resolve().parents[1]
COUNTS, NAMES = (60, 30, 10), ("cat", "dog", "eel")
ON_FEATURES = [name for name in METHODS if get_method_class(name).trains_on_features]


def make_blobs(counts, seed):
    """Three blobs in eight dimensions, whose centers are 4 standard deviations apart or more."""
    generator = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), counts)
    x = generator.normal(size=(len(y), 8)) + 3 * np.eye(3, 8)[y]
    return x.astype(np.float32), y


X, Y = make_blobs(COUNTS, 0)
TEST_X, TEST_Y = make_blobs((40, 40, 40), 1)


@parametrize_with_checks([Heads(options={"epochs": 12})])
def test_scikit_learns_estimator_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("method", ON_FEATURES)
def test_every_method_that_trains_on_features_beats_chance_in_every_class(method):
    heads = fit_features(X, Y, method, epochs=12)
    probabilities = heads.predict_proba(TEST_X)
    assert probabilities.shape == (120, 3) and np.allclose(probabilities.sum(1), 1)
    assert balanced_accuracy_score(TEST_Y, heads.predict(TEST_X)) > 0.6


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ON_FEATURES])
def test_a_method_on_pixels_is_refused_and_the_others_are_named(method):
    with pytest.raises(LongtailError, match=rf"^{method} works on pixels .* these can: ce, bc"):
        fit_features(X, Y, method)


def test_a_class_trains_as_its_name_does():
    named, passed = (fit_features(X, Y, method, epochs=2) for method in ("bc", BalancedClassifier))
    assert np.array_equal(named.predict_proba(TEST_X), passed.predict_proba(TEST_X))


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        torch.from_numpy,
        lambda a: torch.from_numpy(a).double().requires_grad_() if a.dtype == np.float32 else torch.from_numpy(a),
        lambda a: a.astype(np.float64) if a.dtype == np.float32 else a,
        np.asfortranarray,
        lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    ],
    ids=["lists", "tensors", "tensors with gradient", "float64", "column-major", "read-only"],
)
def test_the_container_of_the_vectors_changes_nothing(convert):
    expected = fit_features(X, Y, "bc", epochs=2).predict_proba(TEST_X)
    with warnings.catch_warnings(action="error"):
        heads = fit_features(convert(X), convert(Y), "bc", epochs=2)
        assert np.array_equal(heads.predict_proba(convert(TEST_X)), expected)
    assert type(heads.predict(TEST_X)) is np.ndarray and heads.score(convert(TEST_X), convert(TEST_Y)) > 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_with_in_float32(dtype):
    rounded = torch.from_numpy(X).to(dtype)
    expected = fit_features(rounded.float().numpy(), Y, epochs=2).predict_proba(TEST_X)
    assert np.array_equal(fit_features(rounded, Y, epochs=2).predict_proba(TEST_X), expected)


def test_labels_are_positions_in_the_class_names_or_names_and_a_class_may_be_empty():
    names = (*NAMES, "fox")  # no example
    numbered, named = (fit_features(X, y, "bc", names, epochs=6) for y in (Y, np.array(NAMES)[Y]))
    assert numbered.classes_.tolist() == list(names)
    probabilities = numbered.predict_proba(TEST_X)
    assert probabilities.shape == (120, 4) and np.array_equal(probabilities, named.predict_proba(TEST_X))
    assert set(numbered.predict(TEST_X)) <= set(names)
    assert numbered.score(TEST_X, TEST_Y) == named.score(TEST_X, np.array(NAMES)[TEST_Y]) > 0.6


@pytest.mark.parametrize(
    "y, options, line",
    [
        (Y, {"class_names": ("a", "b")}, r"labels are 0 to 2; class_names has 2 names, from 0"),
        (Y, {"class_names": ("a", "b", "b")}, "class_names holds a name twice"),
        (Y, {"class_names": "abc"}, "class_names is 'abc'; it takes a list of names"),
        (np.array(NAMES)[Y], {"class_names": ("cat", "dog", "fox")}, "label 'eel' is not among the class_names"),
        (np.zeros(100, int), {"class_names": NAMES}, "one class only"),
        (Y, {"epocs": 3}, "unknown option of logit_adjustment on features 'epocs'; did you mean 'epochs'"),
        (Y, {"select": "top1"}, "unknown option of logit_adjustment on features 'select'"),
        (Y, {"epochs": 0}, "epochs is 0; it must be at least 1"),
        (Y, {"method": "ecl", "alpha": "x"}, "option alpha of ecl is 'x'; it takes a number"),
        (Y, {"method": "becl"}, "unknown method 'becl'; did you mean"),
        (Y, {"method": "sade", "aggregate": True}, "sade would learn from test images"),
        (Y, {"device": "tpu"}, "device is 'tpu'"),
        (Y, {"lr": 1e30}, r"not finite.* Try a lower lr$"),
    ],
)
def test_wrong_labels_and_options_are_one_line(y, options, line):
    with pytest.raises(LongtailError, match=line) as error:
        fit_features(X, y, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scale, shift", [(1e-6, 0), (1e20, 0), (1, 1e6)])
def test_the_unit_of_the_features_changes_nothing(scale, shift):
    expected, moved = fit_features(X, Y, epochs=5).predict_proba(X), X.astype(float) * scale + shift
    assert np.allclose(fit_features(moved, Y, epochs=5).predict_proba(moved), expected, atol=1e-3)


def test_a_fit_leaves_random_state_threads_and_warnings_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    with warnings.catch_warnings(action="error"):
        first = fit_features(X, Y, "ecl", epochs=2, neck=16, threads=1)
    torch.manual_seed(7)
    again = fit_features(X, Y, "ecl", epochs=2, neck=16, threads=1)
    other = fit_features(X, Y, "ecl", epochs=2, neck=16, threads=1, seed=1)
    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))
    torch.set_rng_state(before[0])
    fit_features(X, Y, epochs=1)
    assert torch.equal(torch.get_rng_state(), before[0]) and torch.get_num_threads() == before[2]
    assert np.array_equal(np.random.get_state()[1], before[1]) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["bc", "ecl", "tau_norm", "lws"])
def test_pickled_heads_predict_equally(method):
    heads = fit_features(X, Y, method, epochs=4)
    loaded = pickle.loads(pickle.dumps(heads))
    assert np.array_equal(loaded.predict_proba(TEST_X), heads.predict_proba(TEST_X))
    assert all(parameter.grad is None for parameter in loaded.model_.parameters())


def test_verbose_prints_the_vectors_and_the_last_epoch(capsys):
    fit_features(X, Y, epochs=2, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "logit_adjustment: 100 vectors of 8, 3 classes, 2 epochs of 6 steps" and "epoch 2/2" in lines[-1]
    assert not any("images of" in line or "efficientnet" in line for line in lines)
