"""A calibrated run: its file, its refusals, and what its predictions say beside probabilities."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import longtail
from benchmarks.temperature import measure, write_unused_digits
from longtail import LongtailError, metrics
from longtail.analysis import FIGURES
from longtail.commands import app
from longtail.data.matching import find_shared
from longtail.inference.calibration import CalibrationOptions, Priors, calibrate_logits, compute_scores
from longtail.inference.decisions import DecisionOptions
from longtail.inference.images import to_image_tensor
from longtail.inference.labeled import read_labeled_images
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.report import write_report
from longtail.tracking import SilentReport
from tests.data.pictures import colored_photos

HIERARCHY = "class,parent\nclass0,warm\nclass1,warm\nclass2,cold\n"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes that differ in color: 120, 40 and 16 training images, 20 test images each."""
    return colored_photos(tmp_path_factory.mktemp("data") / "photos", (120, 40, 16), (20, 20, 20))


def train_quietly(photos: Path, out: Path, **changes: Any) -> None:
    """Train a short run without a report."""
    settings: dict[str, Any] = {"net": "conv4", "size": 8, "epochs": 2, "batch_size": 16, "val_share": 0.25}
    train(recipe_for(str(photos), **(settings | {"eval_every": 0} | changes)), out, SilentReport(), threads=1)


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    """A run with a validation part of 44 images."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    train_quietly(photos, out, method="bc")
    return out


@pytest.fixture
def run(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="module")
def calibrated(trained, tmp_path_factory):
    """The run after `longtail calibrate --by all`, and a file of superclasses beside it."""
    out = Path(shutil.copytree(trained, tmp_path_factory.mktemp("runs") / "calibrated"))
    longtail.load(out, threads=1).calibrate(by="all")
    (out.parent / "h.csv").write_text(HIERARCHY)
    return out


def command(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        app.main([*map(str, words)])
    return stop.value.code


def check_refused(capsys, message: str, *words: object) -> None:
    """Check that a command ends with 2 and one line that holds the message."""
    capsys.readouterr()
    assert command(*words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error and "Traceback" not in error, error


def test_calibration_json_says_for_each_class_how_many_images_stand_behind_it_and_what_it_promises(run, capsys):
    assert command("calibrate", run, "--by", "class", "--coverage", "0.9", "--threads", 1) == 0
    kept = json.loads((run / "calibration.json").read_text())
    assert [(each["name"], each["images"]) for each in kept["classes"]] == [
        ("class0", 30),
        ("class1", 10),
        ("class2", 4),
    ]
    assert kept["classes"][0]["promise"] == "at least 90 % of the images of this class"
    assert kept["classes"][2]["promise"] == "at least 90 % of the images of all classes together"
    assert kept["thresholds"]["sources"] == ["class", "class", "all"]
    printed = capsys.readouterr()
    assert "44 calibration images (validation part)" in " ".join(printed.out.split())
    assert "1 class has too few calibration images for a threshold by class" in printed.err


def test_thresholds_are_the_ranks_of_the_scores_under_the_temperature_of_the_file(calibrated):
    model = longtail.load(calibrated, threads=1)
    found, split = model.calibration, model.run.load_data()
    logits = longtail.evaluate.compute_logits(model.method, split.val, model.transform_set).mean(0)
    priors = Priors.from_method(model.method)
    scores = compute_scores(logits, "pas", found.temperature, priors)
    own = scores[torch.arange(len(logits)), split.val.labels].sort().values
    assert found.thresholds.values == pytest.approx([own[41 - 1].item()] * 3)  # ceil(45 * 0.9)
    p = (logits.double() / found.temperature + priors.train).softmax(-1)
    assert torch.allclose(scores, -p / priors.train.exp())


def test_predictions_hold_sets_unknown_and_a_sure_superclass_in_python_and_in_tables(calibrated, photos, tmp_path):
    images, hierarchy = photos / "test", calibrated.parent / "h.csv"
    flags = ["--set", "--unknown", 0.1, "--hierarchy", hierarchy, "--sure", 0.8, "--threads", 1]
    assert command("predict", calibrated, images, "--out", tmp_path / "a.csv", *flags) == 0
    assert command("predict", calibrated, images, "--out", tmp_path / "a.parquet", *flags) == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "a.parquet").to_pylist()
    model = longtail.load(calibrated, threads=1)
    paths = [row["path"] for row in table]
    found = model.predict(paths, sets=True, unknown=0.1, hierarchy=hierarchy, sure=0.8)
    assert len(rows) == len(table) == len(found) == 60
    for text, row, prediction in zip(rows, table, found, strict=True):
        decision = prediction.decision
        assert row["set"] == list(decision.set) and text["set"] == "|".join(decision.set)
        assert row["set_size"] == len(decision.set) == int(text["set_size"]) and prediction.label in decision.set
        assert row["unknown"] == decision.is_unknown and text["unknown"] == str(decision.is_unknown).lower()
        assert (row["sure"], row["sure_probability"]) == (decision.sure[0], pytest.approx(decision.sure[1], abs=1e-6))
        assert row["sure_probability"] >= 0.8 and row["sure"] in (
            "class0",
            "class1",
            "class2",
            "warm",
            "cold",
            "any class",
        )
        assert row["prior"] == "as trained (uniform), calibrated"
    plain = model.predict(paths)
    assert [p.label for p in plain] == [p.label for p in found]  # a temperature moves no class
    logits, t = model.logits(to_image_tensor(paths, model.transform_set)).mean(0), model.calibration.temperature
    expected = (logits / t).softmax(-1).amax(-1).tolist()
    assert [p.probabilities[0] for p in found] == pytest.approx(expected, abs=1e-5)


def test_the_terminal_shows_what_was_decided_on_whole_lines(calibrated, photos, capsys):
    images = [photos / "test" / "class0" / f"{i}.png" for i in range(2)]
    assert command("predict", calibrated, *images, "--set", "--unknown", 0.1, "--threads", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("unknown" in line and "set" in line for line in lines) and "calibrated" in lines[-1]


def test_sets_hold_the_class_of_test_images_about_as_often_as_asked(calibrated, photos):
    paths = sorted((photos / "test").rglob("*.png"))
    found = longtail.load(calibrated, threads=1).predict(paths, sets=True)
    assert sum(path.parent.name in each.decision.set for path, each in zip(paths, found, strict=True)) >= 0.8 * len(
        paths
    )


def test_images_of_training_are_refused_with_their_number_and_test_images_are_named(run, photos, tmp_path, capsys):
    mixed, split = tmp_path / "mixed", longtail.load(run, threads=1).run.load_data()
    shutil.copytree(photos / "test", mixed)
    seen = photos / split.train.index.short_name(0)
    shutil.copy(seen, mixed / seen.parent.name / "renamed.png")
    check_refused(capsys, "1 of 61 images of", "calibrate", run, mixed, "--threads", 1)
    (mixed / seen.parent.name / "renamed.png").unlink()
    check_refused(capsys, "132 of 176 images of", "calibrate", run, photos / "train", "--threads", 1)
    assert not (run / "calibration.json").exists()
    assert command("calibrate", run, mixed, "--threads", 1) == 0
    assert "60 of 60 images are test images" in capsys.readouterr().err
    kept = json.loads((run / "calibration.json").read_text())
    assert kept["images"]["tested"] == 60 and kept["images"]["source"] == "labeled images"


def test_digits_of_training_are_found_by_their_pixels_in_any_file_and_frozen_too(tmp_path):
    split = longtail.data.load_split("digits-lt", 50.0)
    known = longtail.data.leave_in_files(split)
    for i in (0, 3, 250):
        Image.fromarray(split.train.images[i].permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.bmp")
    Image.fromarray(split.test.images[0].permute(1, 2, 0).numpy()).save(tmp_path / "new.bmp")
    (tmp_path / "list.csv").write_text("path,label\n0.bmp,0\nnew.bmp,0\n3.bmp,0\n250.bmp,0\n")
    images, _ = read_labeled_images(str(tmp_path / "list.csv"), split.classes.names)
    for trained in (split.train, known.train):
        assert find_shared(images, [trained])[0][0].tolist() == [True, False, True, True]


def test_labeled_images_may_be_a_table_a_list_or_parquet(run, photos, tmp_path):
    paths = sorted((photos / "test").rglob("*.png"))
    rows = "".join(f"{path},{path.parent.name}\n" for path in paths)
    (tmp_path / "a.csv").write_text("path,label\n" + rows)
    (tmp_path / "a.txt").write_text(rows.replace(",", " "))
    encoded = [{"image": {"bytes": path.read_bytes(), "path": None}, "label": path.parent.name} for path in paths]
    pq.write_table(__import__("pyarrow").Table.from_pylist(encoded), tmp_path / "a.parquet")
    found = []
    for name in ("a.csv", "a.txt", "a.parquet"):
        calibration, notes = longtail.load(run, threads=1).calibrate(tmp_path / name)
        found.append((calibration.thresholds, round(calibration.temperature, 4)))
        assert any("60 of 60 images are test images" in note for note in notes)
    assert found[0] == found[1] == found[2]


def test_a_run_whose_data_are_gone_is_calibrated_with_a_note(run, photos, tmp_path):
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps(recipe | {"data": str(tmp_path / "gone")}))
    results = json.loads((run / "results.json").read_text())
    (run / "results.json").write_text(json.dumps(results | {"data": str(tmp_path / "gone")}))
    (run / "manifest.json").unlink()
    calibration, notes = longtail.load(run, threads=1).calibrate(photos / "test")
    assert any("could not be compared with those of training" in note for note in notes)
    assert calibration.images["tested"] is None
    with pytest.raises(LongtailError, match="is not there"):
        longtail.load(run, threads=1).calibrate()


@pytest.mark.parametrize("value", ["0", "1", "nan", "-0.1", "inf"])
def test_a_coverage_that_no_set_can_keep_is_refused(run, capsys, value):
    check_refused(capsys, "--coverage is", "calibrate", run, f"--coverage={value}", "--threads", 1)


def test_bad_calibration_images_are_refused_in_one_line(run, photos, tmp_path, capsys):
    def refuse(message: str, *words: object) -> None:
        check_refused(capsys, message, "calibrate", run, *words, "--threads", 1)

    refuse("needs at least 99 calibration images in all, and there are 44", "--coverage", 0.99)
    refuse("needs at least 39 calibration images of a class, and there are 30", "--coverage", 0.975, "--by", "class")
    refuse("thresholds by group have none", "--weight", 0.5)
    (tmp_path / "empty").mkdir()
    refuse("holds no class folders", tmp_path / "empty")
    refuse("is not there", tmp_path / "nothing")
    refuse("is a URL", "https://example.org/a.zip")
    shutil.copytree(photos / "test", tmp_path / "other")
    (tmp_path / "other" / "class1").rename(tmp_path / "other" / "classone")
    refuse("unknown class in", tmp_path / "other")
    refuse("Known: class0, class1, class2", tmp_path / "other")
    shutil.copytree(photos / "test" / "class0", tmp_path / "single" / "class0")
    refuse("two classes or more", tmp_path / "single")
    shutil.copytree(photos / "test", tmp_path / "bad")
    (tmp_path / "bad" / "class0" / "text.png").write_text("no image")
    refuse("1 of 61 images of", tmp_path / "bad")
    assert not (run / "calibration.json").exists()


def test_a_run_without_a_validation_part_says_what_to_do(photos, tmp_path, capsys):
    train_quietly(photos, tmp_path / "run", method="ce", val_share=0.0)
    check_refused(capsys, "has no validation part; name labeled images", "calibrate", tmp_path / "run", "--threads", 1)


def test_a_model_that_is_not_calibrated_refuses_every_flag_that_needs_it(run, photos, capsys):
    (run.parent / "h.csv").write_text(HIERARCHY)
    hierarchy = ["--hierarchy", run.parent / "h.csv", "--sure", 0.9]
    for flags in (["--calibrated"], ["--set"], ["--unknown", 0.1], hierarchy, ["--target-prior", "estimate"]):
        check_refused(capsys, "is not calibrated; run first", "predict", run, photos / "test", *flags, "--threads", 1)


def test_a_damaged_calibration_and_one_of_other_weights_are_refused(calibrated, photos, tmp_path, capsys):
    for number, change in enumerate(
        (lambda t: t.replace("0.9", "0.8", 1), lambda t: t[:-20], lambda t: "[]", lambda t: "{}")
    ):
        run = Path(shutil.copytree(calibrated, tmp_path / str(number)))
        path = run / "calibration.json"
        path.write_text(change(path.read_text()))
        check_refused(capsys, "calibration.json", "predict", run, photos / "test", "--set", "--threads", 1)
    weights = run / "model.safetensors"
    shutil.copy(calibrated / "calibration.json", path)
    tensors = longtail.runs.files.read_tensors(weights)
    longtail.runs.files.write_tensors(weights, {name: value + 0.01 for name, value in tensors.items()})
    (run / "manifest.json").unlink()
    kept = json.loads((run / "model.json").read_text())
    kept["weights_sha256"] = {"model.safetensors": longtail.runs.files.hash_file(weights)}
    (run / "model.json").write_text(json.dumps(kept))
    check_refused(capsys, "belongs to other weights", "predict", run, photos / "test", "--set", "--threads", 1)


def test_flags_that_need_each_other_or_cannot_hold_are_refused(calibrated, photos, capsys):
    def refuse(message: str, *flags: object) -> None:
        check_refused(capsys, message, "predict", calibrated, photos / "test", *flags, "--threads", 1)

    refuse("--sure needs --hierarchy beside it", "--sure", 0.9)
    refuse("--hierarchy needs --sure beside it", "--hierarchy", calibrated.parent / "h.csv")
    refuse("--unknown is nan", "--unknown", "nan")
    refuse("--unknown is 1.0; it must be below 1", "--unknown", 1)
    refuse("it needs at least 999 calibration images, and there are 44", "--unknown", 0.001)
    refuse("under the class frequencies of the calibration images only", "--set", "--target-prior", "uniform")


def test_an_estimated_prior_shows_the_class_as_trained_beside_it(calibrated, photos, tmp_path, capsys):
    words = ["predict", calibrated, photos / "test" / "class2", "--target-prior", "estimate", "--threads", 1]
    assert command(*words, "--out", tmp_path / "a.csv") == 0
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["prior"] == "estimated from 20 images, calibrated"
    assert all(row["class_as_trained"] and float(row["probability_as_trained"]) <= 1 for row in rows)
    # all images are of one class, which the estimate finds
    assert sum(row["class_1"] == "class2" for row in rows) >= sum(row["class_as_trained"] == "class2" for row in rows)
    one = photos / "test" / "class2" / "0.png"
    check_refused(capsys, "needs at least as many images as classes, 3, and there are 1", *words[:2], one, *words[3:])


def make_logits(n: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    return torch.randn(n, 3, generator=g) + 2 * torch.nn.functional.one_hot(labels, 3), labels


def test_logits_that_are_not_finite_are_refused(calibrated):
    model = longtail.load(calibrated, threads=1)
    logits, labels = make_logits()
    logits[5, 1] = float("nan")
    with pytest.raises(LongtailError, match="1 of 60 calibration images are not finite"):
        calibrate_logits(logits, labels, Priors.from_method(model.method), model.run, CalibrationOptions(), {})
    decider, _ = model.build_decider(DecisionOptions(sets=True), None, [])
    assert decider is not None
    with pytest.raises(LongtailError, match="not finite"):
        decider.decide(logits)


def test_a_method_whose_prior_is_not_known_takes_lac(calibrated):
    model = longtail.load(calibrated, threads=1)
    (logits, labels), priors = make_logits(), Priors(Priors.from_method(model.method).train, None)
    with pytest.raises(LongtailError, match="score is pas, which needs the class prior"):
        calibrate_logits(logits, labels, priors, model.run, CalibrationOptions(), {})
    found = calibrate_logits(logits, labels, priors, model.run, CalibrationOptions(score="lac", by="class"), {})
    assert found.temperature == pytest.approx(metrics.fit_temperature(logits, labels, torch.zeros(3)))


def test_selected_weights_have_a_calibration_of_their_own(photos, tmp_path, capsys):
    run = tmp_path / "run"
    train_quietly(photos, run, method="ce", select="top1", eval_every=1)
    assert command("calibrate", run, "--selected", "--threads", 1) == 0
    assert "also selected the epoch" in capsys.readouterr().err
    image = photos / "test" / "class0" / "0.png"
    assert command("predict", run, image, "--set", "--selected", "--threads", 1) == 0
    check_refused(capsys, "belongs to other weights", "predict", run, image, "--set", "--threads", 1)


def test_a_frozen_run_is_calibrated_on_its_features(photos, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "resnet8.safetensors"
    encoder = longtail.nets.Net("resnet8").encoder()
    longtail.runs.files.write_tensors(weights, encoder.body.state_dict())
    settings: dict[str, Any] = {"net": "resnet8", "frozen": True, "size": 32, "epochs": 2, "eval_every": 0}
    settings |= {"weights": str(weights), "cache": tmp_path / "cache", "val_share": 0.25, "method": "logit_adjustment"}
    cache = settings.pop("cache")
    train(recipe_for(str(photos), **settings), tmp_path / "run", SilentReport(), threads=1, cache=cache)
    model = longtail.load(tmp_path / "run", threads=1)
    validation, _ = model.calibrate()
    labeled, notes = model.calibrate(photos / "test", score="lac", by="interpolated", weight=0.5)
    assert validation.images["count"] == 44 and labeled.images["count"] == 60 and "60 of 60" in notes[0]
    assert all(0 <= value <= 1 for value in labeled.thresholds.values)
    found = model.predict(photos / "test" / "class2" / "0.png", sets=True)
    assert isinstance(found, longtail.inference.predict.Prediction) and found.label in (found.decision.set or ())


def test_the_report_of_a_calibrated_run_shows_sets_and_says_if_the_file_is_damaged(
    calibrated, trained, tmp_path, monkeypatch
):
    drawn = {
        name: FIGURES[name] for name in ("curves", "risk", "sets")
    }  # all others take long, and are tested elsewhere
    monkeypatch.setattr("longtail.report.figures.FIGURES", drawn)
    monkeypatch.setattr("longtail.report.figures.FIRST", tuple(drawn))
    html = write_report([calibrated], tmp_path / "a.html").read_text()
    assert "Prediction sets on 60 test images; asked: 90 % hold their class" in html and "Risk against coverage" in html
    assert "Calibrated on 44 images (validation part)." in html and "estimated from the test images" in html
    plain = write_report([trained], tmp_path / "b.html").read_text()
    assert "Prediction sets" not in plain and 'id="decisions"' not in plain and "Risk against" not in plain
    run = Path(shutil.copytree(calibrated, tmp_path / "run"))
    (run / "calibration.json").write_text("{")
    damaged = write_report([run]).read_text()
    assert "Not drawn: Prediction sets" in damaged and 'id="decisions"' not in damaged


@pytest.mark.slow
def test_a_temperature_more_than_halves_the_calibration_error_of_ecl_on_digits_and_moves_no_class(tmp_path):
    train(recipe_for("digits-lt", method="ecl"), tmp_path / "run", SilentReport(), threads=1)
    write_unused_digits(tmp_path / "unused")
    found = measure(tmp_path / "run", tmp_path / "unused")
    assert found["ece_after"] < 2.5 < found["ece_before"] and found["top1_after"] == found["top1_before"]
