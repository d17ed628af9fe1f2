"""The benchmarks run, check their candidates before timing, and record machine and versions."""

import importlib
import json

import pytest
import torch

from benchmarks import harness
from benchmarks.__main__ import main, summaries
from longtail.machine import set_tf32


@pytest.fixture(autouse=True)
def temporary_results(tmp_path, monkeypatch):
    """Write records to a temporary folder, and restore the precision of torch afterwards."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(harness, "INVOCATION", harness.Invocation("python -m benchmarks", is_kept=True))
    with set_tf32(False):
        yield


def test_every_benchmark_imports_and_has_a_summary():
    lines = summaries()
    assert {"step", "augment", "experts", "update", "evaluate", "epoch", "growth", "seeds", "gpu"} <= lines.keys()
    for name, line in lines.items():
        assert line and callable(importlib.import_module(f"benchmarks.{name}").main)


SHORT = {
    "update": ["--rounds", "1"],
    "evaluate": ["--images", "64", "--rounds", "1"],
    "listing": ["--lines", "2000"],
}
LONG = {
    "faults": ["--flips", "1", "--kills", "0", "--lines", "20"],
    "experts": ["--rounds", "1", "--device", "cpu"],
    "step": ["--rounds", "1"],
    "busy": ["--rounds", "1", "--burners", "1", "--only", "one thread", "spin 1000", "--data", "digits-lt"],
    "epoch": ["--images", "128", "--rounds", "1", "--workers", "0"],
    "seeds": ["--seeds", "2", "--epochs", "1", "--rounds", "1"],
    "temperature": ["--seeds", "1", "--epochs", "2"],
}


@pytest.mark.parametrize("name", [*SHORT, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
def test_a_benchmark_checks_equality_and_writes_its_record(name, tmp_path):
    importlib.import_module(f"benchmarks.{name}").main((SHORT | LONG)[name])
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert record["machine"]["cores"] and record["versions"]["torch"] == torch.__version__.split("+")[0]


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_cpu():
    importlib.import_module("benchmarks.gpu").main([])


def test_ratios_are_paired_within_a_round(capsys):
    record = harness.compare({"a": lambda: sum(range(2000)), "b": lambda: sum(range(1000))}, rounds=5)
    assert set(record["seconds"]) == {"a", "b"} and record["ratios"]["a / b"]["median"] > 1
    assert "a / b" in capsys.readouterr().out


def test_a_record_is_kept_only_if_asked_and_says_how_it_was_made(tmp_path, capsys):
    words = ["listing", "--lines", "100"]
    assert main(words) == 0 and not list(tmp_path.iterdir())
    assert "--save writes benchmarks/results/listing.json" in capsys.readouterr().out
    assert main([*words, "--save"]) == 0
    assert (
        json.loads((tmp_path / "listing.json").read_text())["command"]
        == "python -m benchmarks listing --lines 100 --save"
    )


def test_bad_input_of_a_benchmark_is_one_line(capsys):
    cases = {"precision nodata": "unknown data 'nodata'", "digits_recipe bc foo": "foo is no setting"}
    if not torch.cuda.is_available():
        cases["augment --device cuda"] = "torch sees no GPU here"
    for words, message in cases.items():
        assert main(words.split()) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    with pytest.raises(SystemExit):
        main(["step", "--rounds", "0"])
    assert "0 is no whole number of 1 or more" in capsys.readouterr().err


def test_an_unknown_benchmark_offers_the_nearest(capsys):
    assert main(["stepp"]) == 2 and "did you mean 'step'" in capsys.readouterr().err
