"""`longtail distill`: the experts of a finished run teach one network, in a run like any other."""

import json
import shutil

import pytest
import torch

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.evaluate import compute_logits
from longtail.launch import train
from longtail.nets import Net
from longtail.runs.files import write_tensors
from longtail.runs.finished import FinishedRun
from longtail.teaching import Ensemble, build_student_recipe
from longtail.tracking import SilentReport
from tests.data.pictures import colored_photos
from tests.dying import KillAt, Killed


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A short run of three experts on the digits."""
    out = tmp_path_factory.mktemp("teach") / "teacher"
    longtail.train("digits-lt", "ecl", out=out, epochs=2, eval_every=0, device="cpu", threads=1)
    return FinishedRun.open(out)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a small network; random ones are as good as any for these claims."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet8.safetensors"
    write_tensors(path, Net("resnet8").encoder().body.state_dict())
    return path


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, weights):
    """A run of three necks on frozen features of photographs, and its cache."""
    folder = tmp_path_factory.mktemp("frozen")
    photos = colored_photos(folder / "photos", (24, 12, 6), (6, 6, 6))
    settings = {"net": "resnet8", "frozen": True, "size": 32, "epochs": 2, "eval_every": 0, "neck": 8}
    longtail.train(
        photos, "ecl", out=folder / "run", cache=folder / "cache", weights=str(weights), device="cpu", **settings
    )
    return FinishedRun.open(folder / "run")


def run_command(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main(["distill", *words])
    return stop.value.code


def test_the_command_makes_one_network_with_data_and_settings_of_the_run(teacher, tmp_path, capsys):
    out = tmp_path / "one"
    assert run_command(str(teacher.path), "--out", str(out), "--epochs", "1", "--threads", "1") == 0
    student = FinishedRun.open(out)
    assert len(student.results["plain"]["experts"]) == 1 and (out / "report.html").exists()
    assert student.split["train_sha256"] == teacher.split["train_sha256"]
    kept = {"net", "lr", "weight_decay", "batch_size", "data", "imbalance", "seed"}
    assert all(getattr(student.recipe, name) == getattr(teacher.recipe, name) for name in kept)
    digest = json.loads((teacher.path / "model.json").read_text())["weights_sha256"]["model.safetensors"]
    assert student.environment["teacher"] == {"run": str(teacher.path), "method": "ecl", "weights_sha256": digest}
    assert "distill on digits-lt" in capsys.readouterr().out


def test_a_killed_distillation_is_resumed_to_the_same_weights_and_needs_its_teacher_no_more(teacher, tmp_path):
    source = shutil.copytree(teacher.path, tmp_path / "teacher")
    recipe = build_student_recipe(FinishedRun.open(source), epochs=2)
    train(recipe, tmp_path / "whole", SilentReport(), threads=1)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed", KillAt(2), threads=1)
    train(recipe, tmp_path / "killed", SilentReport(), resume=True, threads=1)
    shutil.rmtree(source)
    kept, again = (FinishedRun.open(tmp_path / name).load_method().inference_state() for name in ("whole", "killed"))
    assert kept.keys() == again.keys() and all(torch.equal(kept[name], again[name]) for name in kept)


def test_the_ensemble_gives_the_mean_logits_of_the_run_under_a_uniform_prior(tmp_path):
    out = tmp_path / "ce"
    model = longtail.train("digits-lt", "ce", out=out, epochs=1, eval_every=0, device="cpu", threads=1)
    images = model.run.load_data().test.images[:20]
    here = model.transform_set
    expected = compute_logits(model.method, images, here).mean(0) - model.method.log_prior
    ensemble = Ensemble(model.run.load_method(), here, here).eval()
    with torch.no_grad():
        assert torch.allclose(ensemble(here.build_normalize("cpu")(images)), expected, atol=1e-4)


def test_a_teacher_sees_images_normalized_as_in_its_own_training(teacher):
    from dataclasses import replace

    there = teacher.transform_set
    here = replace(there, mean=(0.1, 0.6, 0.3), std=(0.2, 0.5, 0.9))
    images = teacher.load_data().test.images[:20]
    with torch.no_grad():
        expected, found = (
            Ensemble(teacher.load_method(), seen, there).eval()(seen.build_normalize("cpu")(images))
            for seen in (there, here)
        )
    assert torch.allclose(expected, found, atol=1e-3) and not torch.equal(expected[0], expected[1])


def test_necks_on_frozen_features_teach_one_neck_on_the_same_features(frozen, tmp_path):
    cache = frozen.environment["cache"]
    run = train(build_student_recipe(frozen, epochs=2, bkt=True), tmp_path / "one", SilentReport(), cache=cache)
    student = FinishedRun.open(run.path)
    assert student.recipe.frozen and student.recipe.neck == 8 and student.recipe.options["bkt"]
    assert student.load_method().trunk is not None


def test_a_frozen_run_teaches_a_network_that_learns_from_the_images(frozen, tmp_path):
    recipe = build_student_recipe(frozen, net="conv4", frozen=False, epochs=1, eval_every=0)
    student = FinishedRun.open(train(recipe, tmp_path / "small", SilentReport(), threads=1).path)
    assert not student.recipe.frozen and student.recipe.net == "conv4" and student.load_method().trunk is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": "conv4"}, "can teach on these only"),
        ({"val_share": 0.1}, "val_share is that of .*, whose images teach; leave"),
        ({"alpha": 2.0}, "alpha of distill is 2.0; it must be at most 1"),
    ],
)
def test_bad_changes_are_one_line(frozen, changes, message):
    with pytest.raises(LongtailError, match=message):
        build_student_recipe(frozen, **changes)


def test_one_expert_teaches_only_another_network(teacher, tmp_path, capsys):
    out = tmp_path / "one"
    train(build_student_recipe(teacher, epochs=1, eval_every=0), out, SilentReport(), threads=1)
    assert run_command(str(out), "--out", str(tmp_path / "again")) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "has one network already, a conv4; name a smaller one with --net" in error
    assert not (tmp_path / "again").exists()
    assert build_student_recipe(FinishedRun.open(out), net="resnet8").net == "resnet8"


def test_another_model_at_the_path_of_the_teacher_is_refused_on_resume(teacher, tmp_path):
    source = shutil.copytree(teacher.path, tmp_path / "teacher")
    recipe = build_student_recipe(FinishedRun.open(source), epochs=2)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed", KillAt(2), threads=1)
    shutil.rmtree(source)
    longtail.train("digits-lt", "ecl", out=source, epochs=1, seed=5, eval_every=0, device="cpu", threads=1)
    with pytest.raises(LongtailError, match="was begun with another model in"):
        train(recipe, tmp_path / "killed", SilentReport(), resume=True, threads=1)


def test_a_damaged_teacher_is_named(teacher, tmp_path, capsys):
    source = shutil.copytree(teacher.path, tmp_path / "teacher")
    with (source / "model.safetensors").open("r+b") as file:
        file.seek(200)
        file.write(b"damage")
    assert run_command(str(source), "--out", str(tmp_path / "one")) == 2
    assert f"{source / 'model.safetensors'} is not as longtail wrote it" in capsys.readouterr().err
    assert not (tmp_path / "one").exists()


def test_a_run_without_a_teacher_and_an_unfinished_teacher_are_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        app.main(["train", "digits-lt", "distill", "--out", str(tmp_path / "run")])
    assert stop.value.code == 2 and "take `longtail distill RUN`" in capsys.readouterr().err
    assert run_command(str(tmp_path)) == 2
    assert "is not a run folder" in capsys.readouterr().err
