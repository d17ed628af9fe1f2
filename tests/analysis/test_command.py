"""The command `longtail figure`."""

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


def check_refused(capsys, message, *words) -> None:
    """Check that a command fails with one line that contains the message."""
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error and "Traceback" not in error


def test_without_a_name_the_command_lists_every_figure(capsys):
    assert run("figure") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in FIGURES)


def test_a_figure_is_written_into_the_run_and_described_in_words(capsys, ecl_run):
    assert run("figure", "tau", ecl_run) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (ecl_run / "figures" / "tau.svg").is_file() and (ecl_run / "figures" / "tau.csv").is_file()
    assert "Accuracy as trained (tau 0)" in text


def test_a_path_that_looks_like_markup_is_printed_as_it_is(capsys, ecl_run, tmp_path):
    out = tmp_path / "[red]a[bold].svg"
    assert run("figure", "tau", ecl_run, "--out", out) == 0 and out.is_file()
    assert str(out) in capsys.readouterr().out
    show_run(Console(soft_wrap=True), RunFolder(shutil.copytree(ecl_run, tmp_path / "[dim]run")))
    assert str(tmp_path / "[dim]run" / "results.json") in capsys.readouterr().out


def test_an_unfinished_run_is_check_refused(capsys, ecl_run, tmp_path):
    shutil.copytree(ecl_run, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    check_refused(capsys, "is not finished", "figure", "tau", tmp_path / "run")


def test_runs_of_different_data_are_check_refused(capsys, ecl_run, tmp_path):
    assert (
        run("train", "digits-lt", "ce", "--epochs", 1, "--imbalance", 10, "--threads", 1, "--out", tmp_path / "other")
        == 0
    )
    check_refused(capsys, "other is a run of other data than", "figure", "tau", ecl_run, tmp_path / "other")


def test_runs_of_one_method_have_distinct_labels_and_no_run_is_compared_with_itself(capsys, ecl_run, ce_run, tmp_path):
    for folder in ("a", "b"):
        shutil.copytree(ce_run, tmp_path / folder / "run")
    assert run("figure", "tau", tmp_path / "a" / "run", tmp_path / "b" / "run", ecl_run) == 0
    text = "".join(capsys.readouterr().out.split())
    assert all(f"{label}:Accuracy" in text for label in (f"{tmp_path}/a/run", f"{tmp_path}/b/run", "ecl"))
    check_refused(capsys, "two runs are called", "figure", "tau", ce_run, ce_run)


def test_another_file_is_not_overwritten_and_a_name_of_no_picture_is_check_refused(capsys, ecl_run, tmp_path):
    (tmp_path / "mine.svg").write_text("<svg>my own drawing</svg>")
    check_refused(capsys, "is not this figure", "figure", "tau", ecl_run, "--out", tmp_path / "mine.svg")
    assert (tmp_path / "mine.svg").read_text() == "<svg>my own drawing</svg>"
    check_refused(capsys, "has no name of a picture", "figure", "tau", ecl_run, "--out", tmp_path / "mine.jpg")
    check_refused(capsys, "is not a folder", "figure", "tau", ecl_run, "--out", tmp_path / "no" / "mine.svg")


def test_a_folder_that_cannot_be_written_in_is_refused_before_any_work(capsys, ecl_run, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    work = (
        "longtail.analysis.compute_panels",
        "longtail.report.compose_page",
        "longtail.commands.inspect.inspect_data",
    )
    for function in work:
        monkeypatch.setattr(function, lambda *_: pytest.fail("the path was not checked first"))
    for words in (
        ("figure", "tau", ecl_run, "--out", tmp_path / "a.svg"),
        ("report", ecl_run, "--out", tmp_path / "a.html"),
        ("predict", ecl_run, tmp_path, "--out", tmp_path / "a.csv"),
        ("export", ecl_run, "--out", tmp_path / "a.onnx"),
        ("inspect", "digits-lt", "--out", tmp_path / "a.html"),
    ):
        check_refused(capsys, f"nothing can be written in {tmp_path}; choose another --out", *words)
    assert not list(tmp_path.iterdir())


def test_a_damaged_metrics_file_is_named(capsys, ecl_run, tmp_path):
    shutil.copytree(ecl_run, tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").write_text("epoch,stage\nmany,train\n")
    check_refused(capsys, "metrics.csv is not as longtail wrote it", "figure", "curves", tmp_path / "run")
    (tmp_path / "run" / "metrics.csv").unlink()
    check_refused(capsys, "metrics.csv", "figure", "curves", tmp_path / "run")
