"""`longtail suspects`: labels that a head which never saw the image finds improbable, whatever the class prior."""

import csv

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.inspection.suspects import Judgment, judge_labels, split_folds
from longtail.nets import Net
from longtail.runs.files import write_tensors
from tests.data.pictures import colored_photos

COUNTS = (120, 60, 20, 8)


@pytest.fixture(scope="module")
def flipped():
    """Features of four classes, 208 images with a long tail, and labels of which one in ten is wrong."""
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), COUNTS)
    centers = 2.5 * np.eye(4, 16)
    features = (centers[truth] + generator.normal(0, 1, (len(truth), 16))).astype(np.float32)
    wrong = generator.random(len(truth)) < 0.1
    labels = np.where(wrong, (truth + generator.integers(1, 4, len(truth))) % 4, truth)
    return features, labels, wrong


@pytest.fixture(scope="module")
def judgment(flipped):
    features, labels, _ = flipped
    return judge_labels(features, labels, 4, device="cpu")


@pytest.mark.parametrize("seed", range(5))
def test_credibility_and_faults_are_those_of_a_naive_loop(seed):
    generator = np.random.default_rng(seed)
    p, labels, judged = generator.dirichlet(np.ones(5), 40), generator.integers(0, 5, 40), generator.random(40) < 0.9
    found = Judgment(p, labels, judged)
    for i in range(40):
        self_confidence = p[i][labels[i]]
        best = max(range(5), key=lambda c: p[i][c])
        assert found.credibility[i] == self_confidence and found.suggested[i] == best
        assert found.find_faults()[i] == (judged[i] and self_confidence < 1 / 5 and best != labels[i])
    assert 0 < found.find_faults().sum() < 40


def test_flipped_labels_are_less_credible_than_others_in_every_group(flipped, judgment):
    _, labels, wrong = flipped
    assert roc_auc_score(wrong, -judgment.credibility) > 0.9
    for group in ([0], [1], [2, 3]):
        rows = np.isin(labels, group)
        assert roc_auc_score(wrong[rows], -judgment.credibility[rows]) > 0.85


def test_a_rare_class_is_not_suspected_for_being_rare(flipped):
    """On clean labels of classes that overlap; the training prior in place of the uniform one would suspect the rare class."""
    truth = np.repeat(np.arange(4), COUNTS)
    judgment = judge_labels(flipped[0], truth, 4, device="cpu")
    under_train = judgment.probabilities * np.array(COUNTS)
    other = Judgment(under_train / under_train.sum(1, keepdims=True), truth, judgment.is_judged)
    rare, every = (
        [found.find_faults()[rows].mean() for found in (judgment, other)] for rows in (truth == 3, truth >= 0)
    )
    assert rare[0] <= every[0] and rare[1] > 2 * every[1]


def test_every_image_is_judged_by_a_head_that_never_saw_it(flipped):
    _, labels, _ = flipped
    folds = split_folds(labels, None, 5, 0)
    held = np.concatenate([held for _, held in folds])
    assert sorted(held) == list(range(len(labels))) and all(not set(train) & set(held) for train, held in folds)
    for _, held in folds:
        assert set(labels[held]) == set(labels)


def test_images_of_one_group_stay_in_one_fold(flipped):
    _, labels, _ = flipped
    groups = np.arange(len(labels)) // 3
    for train, held in split_folds(labels, groups, 5, 0):
        assert not set(groups[train]) & set(groups[held])


def test_the_only_image_of_a_class_is_not_judged():
    generator = np.random.default_rng(1)
    labels = np.array([0] * 10 + [1] * 10 + [2])
    found = judge_labels(generator.normal(size=(21, 4)).astype(np.float32), labels, 4, device="cpu")
    assert found.is_judged.tolist() == [True] * 20 + [False] and not found.find_faults()[20]
    with pytest.raises(LongtailError, match="no class has two images"):
        judge_labels(np.eye(3, dtype=np.float32), np.arange(3), 3)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A run on frozen features of photographs in three colors, one image of the first class among those of the second."""
    folder = tmp_path_factory.mktemp("suspects")
    photos = colored_photos(folder / "photos", (24, 12, 6), (3, 3, 3))
    (photos / "train" / "class0" / "0.png").rename(photos / "train" / "class1" / "stray.png")
    torch.manual_seed(0)
    weights = folder / "resnet8.safetensors"
    write_tensors(weights, Net("resnet8").encoder().body.state_dict())
    settings = {"net": "resnet8", "frozen": True, "size": 32, "epochs": 4, "eval_every": 0}
    longtail.train(
        photos, "bc", out=folder / "run", cache=folder / "cache", weights=str(weights), device="cpu", **settings
    )
    return folder / "run"


def suspects(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main(["suspects", *map(str, words)])
    return stop.value.code


def test_a_photograph_in_the_wrong_folder_comes_first_in_table_and_page(frozen, tmp_path, capsys):
    out = tmp_path / "faults.csv"
    assert suspects(frozen, "--out", out) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 42 and rows[0]["path"].endswith("class1/stray.png")
    assert (rows[0]["label"], rows[0]["suggested"], rows[0]["probable_fault"]) == ("class1", "class0", "yes")
    page = out.with_suffix(".html").read_text()
    assert page.count("<img ") == 42 and page.index("stray.png") < page.index("class0?") + 200
    assert "default-src 'none'" in page and str(frozen.parent) not in page
    assert "knows nothing of the labels" in capsys.readouterr().out


def test_a_run_that_trained_its_network_says_that_its_features_know_the_labels(tmp_path, capsys):
    longtail.train("digits-lt", "bc", out=tmp_path / "run", epochs=2, eval_every=0, device="cpu", threads=1)
    assert suspects(tmp_path / "run", "--out", tmp_path / "faults.csv") == 0
    assert "fewer faults are found than on frozen features" in capsys.readouterr().out
    assert len((tmp_path / "faults.csv").read_text().splitlines()) == 288


def test_tracks_of_a_run_in_memory_stay_in_one_fold(tmp_path, monkeypatch):
    photos, seen = colored_photos(tmp_path / "photos", (8, 8), (2, 2)), []
    longtail.train(
        photos, "ce", out=tmp_path / "run", recipe="scratch", group=r"(class\d)/[0-3]", epochs=1, size=16, batch_size=4,
        device="cpu", threads=1,
    )  # fmt: skip
    monkeypatch.setattr("longtail.inspection.suspects.judge_labels", lambda *given, **_: seen.append(given[3]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        app.main(["suspects", str(tmp_path / "run"), "--out", str(tmp_path / "faults.csv")])
    assert seen[0] is not None and len(set(seen[0].tolist())) < len(seen[0])


def test_bad_input_is_one_line(frozen, tmp_path, capsys):
    (tmp_path / "there.html").write_text("mine")
    cases = {
        "exists already": [frozen, "--out", tmp_path / "there.csv"],
        "must end in .csv": [frozen, "--out", tmp_path / "there.html"],
        "is not a run folder": [tmp_path],
        "--seed is -1; it must be at least 0": [frozen, "--seed", "-1"],
    }
    for message, words in cases.items():
        assert suspects(*words) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, message
    assert (tmp_path / "there.html").read_text() == "mine"
