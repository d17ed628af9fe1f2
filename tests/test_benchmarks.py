"""The benchmarks run, check what they compare before they time it, and say where a number comes from."""

import importlib
import json

import pytest
import torch

from benchmarks import harness
from benchmarks.__main__ import main, summaries


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Records are written aside, and the caller's precision is restored."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    before = torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision
    yield
    torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision = before


def test_every_benchmark_imports_and_says_what_it_is():
    found = summaries()
    assert {"step", "augment", "experts", "update", "evaluate", "epoch", "growth", "seeds", "gpu", "precision"} <= set(
        found
    )
    for name, line in found.items():
        assert line and callable(importlib.import_module(f"benchmarks.{name}").main)


SHORT = {
    "update": ["--rounds", "1"],
    "evaluate": ["--images", "64", "--rounds", "1"],
    "listing": ["--lines", "2000"],
}
LONG = {
    "experts": ["--rounds", "1", "--device", "cpu"],
    "step": ["--rounds", "1"],
    "epoch": ["--images", "128", "--rounds", "1", "--workers", "0"],
    "seeds": ["--seeds", "2", "--epochs", "1", "--rounds", "1"],
}


@pytest.mark.parametrize("name", [*SHORT, *(pytest.param(name, marks=pytest.mark.slow) for name in LONG)])
def test_a_benchmark_checks_equality_and_writes_its_record(name, tmp_path):
    importlib.import_module(f"benchmarks.{name}").main((SHORT | LONG)[name])
    (path,) = tmp_path.glob("*.json")
    record = json.loads(path.read_text())
    assert record["machine"]["cores"] and record["versions"]["torch"] == torch.__version__.split("+")[0]


@pytest.mark.slow
def test_the_script_for_the_gpu_runs_on_a_cpu():
    importlib.import_module("benchmarks.gpu").main([])


def test_ratios_are_paired_within_a_round(capsys):
    record = harness.compare({"a": lambda: sum(range(2000)), "b": lambda: sum(range(1000))}, rounds=5)
    assert set(record["seconds"]) == {"a", "b"} and record["ratios"]["a / b"]["median"] > 1
    assert "a / b" in capsys.readouterr().out


def test_an_unknown_benchmark_offers_the_nearest(capsys):
    assert main(["stepp"]) == 2 and "did you mean 'step'" in capsys.readouterr().err
