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
    "tune": ["--net", "test_vit", "--size", "32", "--batch", "2", "--rounds", "1"],
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


def test_an_unknown_benchmark_offers_the_nearest(capsys):
    assert main(["stepp"]) == 2 and "did you mean 'step'" in capsys.readouterr().err
