"""`longtail figure`, as a user types it."""

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from longtail.analysis import FIGURES
from longtail.commands import app
from longtail.commands.console import show_run
from longtail.runs.folder import RunFolder


def run(*words) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main([str(word) for word in words])
    return stop.value.code


def refused(capsys, part, *words) -> None:
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and part in error and "Traceback" not in error


def test_alone_it_lists_every_figure(capsys):
    assert run("figure") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in FIGURES)


def test_a_figure_is_written_into_the_run_and_told_in_words(capsys, ecl_run):
    assert run("figure", "tau", ecl_run) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (ecl_run / "figures" / "tau.svg").is_file() and (ecl_run / "figures" / "tau.csv").is_file()
    assert "As trained (tau 0)" in text


def test_a_path_that_looks_like_markup_is_printed_as_it_is(capsys, ecl_run, tmp_path):
    out = tmp_path / "[red]a[bold].svg"
    assert run("figure", "tau", ecl_run, "--out", out) == 0 and out.is_file()
    assert str(out) in capsys.readouterr().out
    show_run(Console(soft_wrap=True), RunFolder(shutil.copytree(ecl_run, tmp_path / "[dim]run")))
    assert str(tmp_path / "[dim]run" / "results.json") in capsys.readouterr().out


def test_an_unfinished_run_is_refused(capsys, ecl_run, tmp_path):
    shutil.copytree(ecl_run, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    refused(capsys, "was not trained to the end", "figure", "tau", tmp_path / "run")


def test_runs_of_different_data_are_refused(capsys, ecl_run, tmp_path):
    assert (
        run("train", "digits-lt", "ce", "--epochs", 1, "--imbalance", 10, "--threads", 1, "--out", tmp_path / "other")
        == 0
    )
    refused(capsys, "other is a run of other data than", "figure", "tau", ecl_run, tmp_path / "other")


def test_runs_of_one_method_are_told_apart_and_one_run_is_not_compared_with_itself(capsys, ecl_run, ce_run, tmp_path):
    for place in ("a", "b"):
        shutil.copytree(ce_run, tmp_path / place / "run")
    assert run("figure", "tau", tmp_path / "a" / "run", tmp_path / "b" / "run", ecl_run) == 0
    text = "".join(capsys.readouterr().out.split())
    assert f"{tmp_path}/a/run:As" in text and f"{tmp_path}/b/run:As" in text and "ecl:As" in text
    refused(capsys, "two runs are called", "figure", "tau", ce_run, ce_run)


def test_a_file_that_is_not_the_figure_and_a_name_that_is_no_picture_are_left_alone(capsys, ecl_run, tmp_path):
    (tmp_path / "mine.svg").write_text("<svg>my own drawing</svg>")
    refused(capsys, "is not this figure", "figure", "tau", ecl_run, "--out", tmp_path / "mine.svg")
    assert (tmp_path / "mine.svg").read_text() == "<svg>my own drawing</svg>"
    refused(capsys, "is not named as a picture", "figure", "tau", ecl_run, "--out", tmp_path / "mine.jpg")
    refused(capsys, "is not a folder", "figure", "tau", ecl_run, "--out", tmp_path / "no" / "mine.svg")


def test_a_folder_that_cannot_be_written_in_is_refused_before_any_work(capsys, ecl_run, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    for work in ("longtail.analysis.compute", "longtail.report.compose", "longtail.commands.inspect.look_into"):
        monkeypatch.setattr(work, lambda *_: pytest.fail("the place was not looked at first"))
    for words in (
        ("figure", "tau", ecl_run, "--out", tmp_path / "a.svg"),
        ("report", ecl_run, "--out", tmp_path / "a.html"),
        ("predict", ecl_run, tmp_path, "--out", tmp_path / "a.csv"),
        ("export", ecl_run, "--out", tmp_path / "a.onnx"),
        ("inspect", "digits-lt", "--out", tmp_path / "a.html"),
    ):
        refused(capsys, f"nothing can be written in {tmp_path}; choose another --out", *words)
    assert not list(tmp_path.iterdir())


def test_a_damaged_metrics_file_is_named(capsys, ecl_run, tmp_path):
    shutil.copytree(ecl_run, tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").write_text("epoch,stage\nmany,train\n")
    refused(capsys, "metrics.csv is not as longtail wrote it", "figure", "curves", tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").unlink()
    refused(capsys, "metrics.csv", "figure", "curves", tmp_path / "run")
