"""The measured cost of a run."""

import math
import random
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import longtail
from longtail import LongtailError
from longtail.distributed import SINGLE_PROCESS
from longtail.estimate import Estimate, clock, estimate_run, preparation
from longtail.recipes import recipe_for

SCRATCH = {"net": "conv4", "size": 16, "epochs": 2}


def estimate(photos, settings, **changes) -> Estimate:
    """Estimate a run on the photographs."""
    fields = {name: value for name, value in (settings | changes).items() if name != "cache"}
    recipe = recipe_for(photos, **{"method": "bc"} | fields)
    return estimate_run(recipe, recipe.load_split(verify=False), SINGLE_PROCESS, settings.get("cache"))


@pytest.fixture
def ticks(monkeypatch):
    """Replace the clock by one that moves on by a second at every look, so that every call takes a second."""
    ticking = SimpleNamespace(perf_counter=count().__next__)
    for module in (clock, longtail.estimate):
        monkeypatch.setattr(module, "time", ticking)


@pytest.mark.parametrize(
    "changes", [{}, {"method": "ecl", "neck": 8, "frozen_views": 3}, {"method": "crt"}, {"method": "paco", "neck": 8}]
)
def test_a_frozen_run_is_estimated_whatever_the_method(photos, settings, changes):
    found = estimate(photos, settings, **changes)
    assert all(math.isfinite(n) and n >= 0 for n in (found.preparation, found.test)) and found.epoch > 0
    assert found.stages == (2 if changes.get("method") == "crt" else 1)


@pytest.mark.parametrize("changes", [{}, {"method": "ecl", "experts": 2}, {"views": "imagenet-32", "net": "resnet8"}])
def test_a_run_from_scratch_is_estimated_in_memory_and_from_files(photos, changes):
    fields = {k: v for k, v in SCRATCH.items() if k != "size" or "views" not in changes}
    recipe = recipe_for(photos, "scratch", **{"method": "ce"} | fields | changes)
    found = estimate_run(recipe, recipe.load_split(verify=False), SINGLE_PROCESS)
    assert found.preparation > 0 and found.epoch > 0 and math.isfinite(found.total(2, 1))


def test_a_measurement_leaves_no_random_state_and_no_file_behind(photos, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), torch.get_num_threads()
    files = set(tmp_path.rglob("*"))
    estimate(photos, settings)
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()
    assert before[2:] == (random.getstate(), torch.get_num_threads())
    assert set(tmp_path.rglob("*")) == files


def test_features_in_the_cache_cost_only_the_check_of_the_images(photos, settings, ticks):
    fresh = estimate(photos, settings)
    longtail.train(photos, "bc", out=settings["cache"].with_name("run"), **settings)
    cached = estimate(photos, settings)
    assert cached.preparation == pytest.approx((42 + 18) / preparation.SAMPLE)  # a second for the checks of 16 images
    assert fresh.preparation > cached.preparation and fresh.epoch == cached.epoch


def test_the_memory_of_features_is_that_of_their_numbers(photos, settings):
    recipe = recipe_for(photos, method="bc", **{k: v for k, v in settings.items() if k != "cache"})
    prepared = preparation.measure_features(recipe, recipe.load_split(verify=False), SINGLE_PROCESS, settings["cache"])
    assert prepared.size == (42 * recipe.frozen_views + 18 * 2) * recipe.build_net().trunk_dim * 2


def test_epochs_and_tests_are_added_up():
    found = Estimate(preparation=10.0, epoch=2.0, test=0.5, memory=0, stages=1)
    assert found.total(epochs=8, eval_every=4) == 10 + 8 * 2 + (2 + 2) * 0.5
    assert found.total(epochs=8, eval_every=0) == 10 + 8 * 2 + 2 * 0.5


def test_unreadable_images_are_left_out_and_a_set_of_them_is_refused(photos, settings, tmp_path):
    for subset in ("train", "test"):
        for c in ("a", "b"):
            for i in range(6):
                path = tmp_path / "bad" / subset / c / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                good = (photos / "train" / "class0" / f"{i}.png").read_bytes()
                path.write_bytes(good if subset == "test" or (c == "a" and i) else b"no image")
    assert estimate(tmp_path / "bad", settings).epoch > 0
    for path in (tmp_path / "bad" / "train" / "a").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(LongtailError, match="none of 12 images can be read"):
        estimate(tmp_path / "bad", settings)
