"""Priors in calibration, and copies of parts of a file, in details that no other test checks."""

# ruff: noqa: F811 - fixtures are imported

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from longtail.data import ClassTable
from longtail.distributed import SINGLE_PROCESS
from longtail.inference.calibration import CalibrationOptions, Priors, calibrate_logits
from longtail.metrics import fit_bias_corrected, fit_temperature
from longtail.tracking import SilentReport
from longtail.unpack import unpack_training_images
from tests.test_unpack import build_recipe, folder  # noqa: F401


def test_two_parts_of_one_parquet_file_have_copies_of_their_own(folder, tmp_path):
    split = build_recipe(folder).load_split(workers=0)
    for start in (0, 5):
        part = replace(split, train=split.train.take(np.arange(start, start + 35)))
        copied = unpack_training_images(part, tmp_path / "cache", SilentReport(), SINGLE_PROCESS)
        assert all(copied.train.index.source(i) == part.train.index.source(i) for i in range(35))


def test_calibrated_logits_are_corrected_by_the_prior_of_the_calibration_images():
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 5)
    logits = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)) + 2 * F.one_hot(labels, 3)
    uniform = torch.zeros(3, dtype=torch.float64)
    run = SimpleNamespace(classes=ClassTable(("a", "b", "c"), (200, 50, 5)))
    found = calibrate_logits(
        logits, labels, Priors(uniform, uniform), run, CalibrationOptions(by="all", score="lac"), {}
    )
    correction = torch.tensor([40.5, 15.5, 5.5], dtype=torch.float64).log()
    assert found.temperature == pytest.approx(fit_temperature(logits, labels, correction), rel=1e-6)
    temperature, bias = fit_bias_corrected(logits, labels, correction)
    assert found.bias_temperature == pytest.approx(temperature, rel=1e-6) and found.bias == pytest.approx(
        bias.tolist(), abs=1e-6
    )


def test_the_temperature_is_fitted_under_the_prior_of_the_calibration_images():
    z, y = 2 * torch.eye(3, dtype=torch.float64), torch.arange(3)
    t = fit_temperature(z, y, torch.zeros(3))
    loss = lambda s: (F.cross_entropy(z / s, y, reduction="sum") + s.log() ** 2 / 2).item()  # noqa: E731
    assert all(loss(torch.tensor(t)) < loss(torch.tensor(t * k)) for k in (0.97, 1.03))
