"""Export as 8-bit integers: calibrated on training images, measured by group, and kept only if no group loses much."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import longtail
from longtail.commands import app
from longtail.inference import quantize
from longtail.metrics import summarize


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of two experts on the digits."""
    out = tmp_path_factory.mktemp("int8") / "run"
    longtail.train("digits-lt", "bc", out=out, epochs=6, experts=2, eval_every=0, device="cpu", threads=1)
    return out


def export(run, *words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main(["export", str(run), *map(str, words)])
    return stop.value.code


def test_the_file_is_smaller_and_its_numbers_are_those_that_were_shown(run, tmp_path, capsys):
    out = tmp_path / "small.onnx"
    assert export(run, "--int8", "--max-drop", 100, "--out", out) == 0
    shown = capsys.readouterr().out
    split = longtail.load(run).run.load_data()
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    feeds = {"images": split.test.images.numpy(), "log_prior": np.zeros(10, np.float32)}
    metrics = summarize(torch.from_numpy(session.run(["logits"], feeds)[0]), split.test.labels, split.classes.counts)
    (line,) = [line.split() for line in shown.splitlines() if line.split()[:1] == ["int8"]]
    assert line[1:8] == [f"{value:.1f}" for value in metrics.values()]
    (floats,) = [line.split() for line in shown.splitlines() if line.split()[:1] == ["float"]]
    trained = json.loads((run / "results.json").read_text())["plain"]["ensemble"]
    assert floats[1] == f"{trained['top1']:.1f}" and float(line[8]) < 0.6 * float(floats[8])


def test_weights_are_integers_and_the_file_describes_the_run(run, tmp_path):
    out = tmp_path / "one.onnx"
    assert export(run, "--int8", "--expert", 2, "--max-drop", 100, "--out", out) == 0
    model = onnx.load(out)
    kinds = {onnx.TensorProto.DataType.Name(t.data_type) for t in model.graph.initializer if len(t.dims) == 4}
    assert kinds == {"INT8"}
    about = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert about["longtail.int8"] is True and about["longtail.expert"] == 1 and len(about["longtail.classes"]) == 10


def test_the_images_of_the_calibration_are_training_images_of_every_class(run):
    loaded = longtail.load(run)
    split = loaded.run.load_data()
    seen = torch.cat(list(quantize.read_calibration(split.train, loaded.transform_set)))
    labels = split.train.labels.tolist()
    train = {image.numpy().tobytes(): y for image, y in zip(split.train.images, labels, strict=True)}
    assert len(seen) == min(quantize.CALIBRATED, len(split.train))
    assert {train[image.numpy().tobytes()] for image in seen} == set(range(10))


def test_a_group_that_loses_too_much_is_named_and_nothing_is_written(run, tmp_path, capsys, monkeypatch):
    whole = quantize.measure

    def spoil(path, *rest):
        metrics = whole(path, *rest)
        return metrics if path.name == "float.onnx" else metrics | {"few": metrics["few"] - 3.25}

    monkeypatch.setattr(quantize, "measure", spoil)
    out = tmp_path / "small.onnx"
    assert export(run, "--int8", "--out", out) == 2
    captured = capsys.readouterr()
    assert "8-bit integers cost 3.2 points of few, more than --max-drop 2; no file was written" in captured.err
    assert "-3.2" in captured.out and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-drop", "1"], "--max-drop is of --int8; add --int8"),
        (["--root", "there"], "--root is of --int8; add --int8"),
        (["--int8", "--format", "safetensors"], "leave --int8 or --format safetensors out"),
        (["--int8", "--max-drop", "-1"], "--max-drop is -1.0; it must be at least 0"),
    ],
)
def test_flags_that_do_nothing_are_refused(run, capsys, words, message):
    assert export(run, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_an_existing_file_and_a_missing_package_are_one_line(run, tmp_path, capsys, monkeypatch):
    out = tmp_path / "there.onnx"
    out.write_text("mine")
    assert export(run, "--int8", "--out", out) == 2
    assert "exists already" in capsys.readouterr().err and out.read_text() == "mine"
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert export(run, "--int8", "--out", tmp_path / "new.onnx") == 2
    assert "pip install 'longtail[export]'" in capsys.readouterr().err and not (tmp_path / "new.onnx").exists()
