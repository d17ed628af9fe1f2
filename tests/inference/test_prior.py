"""A target class prior: its sources, and its effect on the logits."""

import json
import os
import unicodedata
from typing import Any

import pytest
import torch

from longtail import LongtailError, methods, nets
from longtail.inference.prior import describe_prior, move_to_prior, parse_target_prior
from longtail.runs.files import write_csv

CLASSES, COUNTS = ["cat", "dog", "eel"], (60, 30, 10)


def build(name: str, **options: Any) -> methods.Method:
    torch.manual_seed(0)
    method_class: Any = methods.get_method_class(name)
    return method_class(COUNTS, nets.Net("conv4"), **options)


def test_class_names_of_a_prior_match_in_every_unicode_form(tmp_path):
    (tmp_path / "prior.json").write_text(json.dumps({unicodedata.normalize("NFD", "caf\u00e9"): 3, "tea": 1}))
    prior = parse_target_prior(str(tmp_path / "prior.json"), ["caf\u00e9", "tea"], [1, 1])
    assert prior.exp().tolist() == pytest.approx([0.75, 0.25])


def test_a_prior_is_uniform_that_of_training_or_a_file(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"dog": 1, "cat": 2, "eel": 1}))
    (tmp_path / "b.csv").write_text("Class,Count\neel,0\ncat,3\ndog,1\n")
    expected = {
        "uniform": [1 / 3] * 3,
        "train": [0.6, 0.3, 0.1],
        str(tmp_path / "a.json"): [0.5, 0.25, 0.25],
        str(tmp_path / "b.csv"): [0.75, 0.25, 0.0],
    }
    for text, probabilities in expected.items():
        assert parse_target_prior(text, CLASSES, COUNTS).exp().tolist() == pytest.approx(probabilities)


def test_per_class_csv_of_a_run_is_a_prior_whatever_its_classes_are_called(tmp_path):
    names = ["=cat", "'=cat", "dog", "@eel", "'s"]
    write_csv(
        tmp_path / "per_class.csv", [{"class": c, "name": name, "train_images": 1} for c, name in enumerate(names)]
    )
    assert parse_target_prior(str(tmp_path / "per_class.csv"), names, [1] * 5).exp().tolist() == pytest.approx(
        [0.2] * 5
    )
    (tmp_path / "mine.csv").write_text("class,count\n=cat,1\n'=cat,3\n")
    assert parse_target_prior(str(tmp_path / "mine.csv"), names[:2], [1, 1]).exp().tolist() == pytest.approx(
        [0.25, 0.75]
    )


def test_an_unseen_class_counts_once():
    assert parse_target_prior("train", CLASSES, (6, 3, 0)).exp().tolist() == pytest.approx([0.6, 0.3, 0.1])


BAD = {
    "a missing file": (None, "neither uniform nor train nor a file"),
    "an unknown class": ("class,count\ncat,1\ndog,1\nell,1\n", "did you mean 'eel'"),
    "a class missing": ("class,count\ncat,1\ndog,1\n", "no number for 1 classes: eel"),
    "negative": ("class,count\ncat,-1\ndog,1\neel,1\n", "cat has no usable number"),
    "no number": ("class,count\ncat,x\ndog,1\neel,1\n", "is not a prior"),
    "not finite": ("class,count\ncat,inf\ndog,1\neel,1\n", "cat has no usable number"),
    "all zero": ("class,count\ncat,0\ndog,0\neel,0\n", "every class has no usable number"),
    "other columns": ("a,b\n1,2\n", "must have columns class and count"),
    "a class twice": ("class,count\ncat,1\ndog,1\neel,1\ncat,2\n", "names cat more than once"),
    "two columns of numbers": ("class,count,count\ncat,1,2\ndog,1,2\neel,1,2\n", "2 columns of numbers: count, count"),
    "counts and probabilities": ("class,count,probability\ncat,1,2\ndog,1,2\neel,1,2\n", "numbers: count, probability"),
    "two columns of classes": ("class,class,count\ncat,cat,1\n", "has the column class more than once"),
    "a short line": ("class,count\ncat,1\ndog\neel,1\n", "line 3: 1 columns"),
    "a huge number": ("class,count\ncat,1e308\ndog,1e308\neel,1e308\n", "with a finite sum"),
    "zero bytes": ("class,count\ncat,1\0\ndog,1\neel,1\n", "is not a prior"),
    "a huge cell": (f"class,count\n{'a' * 200_000},1\n", "is not a prior"),
    "empty": ("", "must have columns class and count"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_one_line(tmp_path, case):
    content, message = BAD[case]
    if content is not None:
        (tmp_path / "prior.csv").write_text(content)
    with pytest.raises(LongtailError, match=message) as error:
        parse_target_prior(str(tmp_path / "prior.csv"), CLASSES, COUNTS)
    assert "\n" not in str(error.value)


BAD_JSON = {
    "a key twice": ('{"cat": 1, "dog": 1, "eel": 1, "cat": 2}', "names cat more than once"),
    "a name in two Unicode forms": ('{"caf\\u00e9": 1, "cafe\\u0301": 2}', "names caf\u00e9 more than once"),
    "a list": ("[1, 2, 3]", "it holds a list"),
    "an object within": ('{"cat": {"a": 1}, "dog": 1, "eel": 1}', "is not a prior"),
    "deep": ("[" * 200_000, "is not a prior"),
    "a number of many digits": ('{"cat": 1' + "0" * 400 + ', "dog": 1, "eel": 1}', "is not a prior"),
    "a number of too many digits": ('{"cat": 1' + "0" * 5000 + ', "dog": 1, "eel": 1}', "is not a prior"),
    "nan": ('{"cat": NaN, "dog": 1, "eel": 1}', "cat has no usable number"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_a_bad_json_file_is_one_line(tmp_path, case):
    content, message = BAD_JSON[case]
    (tmp_path / "prior.json").write_text(content)
    with pytest.raises(LongtailError, match=message) as error:
        parse_target_prior(str(tmp_path / "prior.json"), CLASSES, COUNTS)
    assert "\n" not in str(error.value)


def test_pipes_devices_and_huge_files_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(1 << 30)
    for path in (tmp_path / "pipe.json", tmp_path / "huge.json", "/dev/zero"):
        with pytest.raises(LongtailError, match="is no file of at most 64 MB"):
            parse_target_prior(str(path), CLASSES, COUNTS)


def test_per_class_csv_of_a_run_is_a_prior(tmp_path):
    (tmp_path / "per_class.csv").write_text("class,name,train_images\n0,cat,60\n1,dog,30\n2,eel,10\n")
    prior = parse_target_prior(str(tmp_path / "per_class.csv"), CLASSES, COUNTS)
    assert torch.equal(prior, parse_target_prior("train", CLASSES, COUNTS))


ASSUMED = [
    ("ce", {}, "train"),
    ("bc", {}, "uniform"),
    ("ecl", {}, "uniform"),
    *((name, {}, "uniform") for name in ("lade", "ncl", "paco", "bcl", "prior_lt", "crt", "lws")),
    *((name, {}, "uniform") for name in ("proco", "balpoe", "hybrid_sc", "dro_lt")),
    ("balpoe", {"spread": 0.0}, "train"),
    ("tsc", {"classifier": "balanced"}, "uniform"),
    ("mixup", {}, "train"),
    ("class_balanced", {"beta": 0.0}, "train"),
    ("class_balanced", {"beta": 1.0}, "uniform"),
    ("logit_adjustment", {}, "uniform"),
    ("logit_adjustment", {"tau": 0.0}, "train"),
    *((name, {}, "uniform") for name in ("dive", "cbd", "ssd", "lfme", "cam", "m2m")),
]


@pytest.mark.parametrize("name, options, assumed", ASSUMED)
def test_moving_to_the_assumed_prior_changes_no_probability(name, options, assumed):
    method, z = build(name, **options), torch.randn(5, 3)
    same = move_to_prior(z, method, parse_target_prior(assumed, CLASSES, COUNTS))
    assert torch.allclose(same.softmax(-1), z.softmax(-1), atol=1e-6)
    assert describe_prior(method, None) == f"as trained ({assumed})" and move_to_prior(z, method, None) is z


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 1.5])
def test_a_posterior_under_the_training_prior_becomes_the_posterior_under_the_target(tau):
    # Bayes: p(y | x) is p(x | y) p(y); the loss with tau leaves prior^(1 - tau) in the logits (Eq. 3)
    likelihood = torch.rand(4, 3, dtype=torch.float64) + 0.1
    train, target = (torch.tensor(p, dtype=torch.float64) for p in ([0.6, 0.3, 0.1], [0.2, 0.2, 0.6]))
    method = build("bc", tau=tau)
    z = (likelihood * train).log() - tau * train.log()
    moved = move_to_prior(z, method, target.log()).softmax(-1)
    expected = likelihood * target / (likelihood * target).sum(-1, keepdim=True)
    assert torch.allclose(moved, expected, atol=1e-5)


def test_a_method_without_a_known_prior_is_refused(monkeypatch):
    method = build("bc")
    monkeypatch.setattr(method, "assumed_log_prior", lambda: None)
    with pytest.raises(LongtailError, match="is not known"):
        move_to_prior(torch.zeros(1, 3), method, parse_target_prior("train", CLASSES, COUNTS))
    assert describe_prior(method, None) == "as trained" and describe_prior(method, "train") == "train"
    assert describe_prior(build("bc", tau=0.5), None) == "as trained (between uniform and train)"
