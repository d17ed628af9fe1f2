"""Several seeds: the same runs as alone, one result."""

import json
import statistics

import pytest
import torch
from safetensors.torch import load_file

from longtail import LongtailError
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.seeds import summarize_seeds, train_in_processes, train_seeds
from longtail.tracking import SilentReport

SHORT = {"epochs": 2, "eval_every": 0}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Seeds 3 and 4, each trained by itself with one thread."""
    out, threads = tmp_path_factory.mktemp("alone"), torch.get_num_threads()
    for seed in (3, 4):
        train(recipe_for("digits-lt", seed=seed, **SHORT), out / f"seed{seed}", SilentReport(), threads=1)
    torch.set_num_threads(threads)
    return out


def assert_same(a, b):
    for seed in (3, 4):
        left, right = (load_file(folder / f"seed{seed}" / "model.safetensors") for folder in (a, b))
        assert left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_processes_give_each_seed_the_weights_it_has_alone(alone, tmp_path):
    summary = train_seeds(
        recipe_for("digits-lt", seed=3, **SHORT), 2, tmp_path / "runs", SilentReport(), device="cpu", threads=1
    )
    assert_same(alone, tmp_path / "runs")
    assert json.loads((tmp_path / "runs" / "seeds.json").read_text()) == summary
    top1 = [json.loads((alone / f"seed{s}" / "results.json").read_text())["plain"]["ensemble"]["top1"] for s in (3, 4)]
    assert summary["plain"]["ensemble"]["top1"] == {"mean": statistics.mean(top1), "sd": statistics.stdev(top1)}
    assert summary["seeds"] == [3, 4] and len(summary["flip"]["experts"]) == 3


def test_fewer_seeds_than_a_folder_holds_are_refused(tmp_path):
    (tmp_path / "seed5").mkdir()
    with pytest.raises(LongtailError, match="holds seed5 too"):
        train_seeds(recipe_for("digits-lt", seed=3, **SHORT), 2, tmp_path, SilentReport(), resume=True, device="cpu")


def test_a_number_that_is_not_measured_for_one_seed_is_null_over_seeds():
    def result(seed: int, many: float | None) -> dict:
        numbers = {"top1": 50.0 + seed, "many": many}
        both = {"ensemble": numbers, "experts": [numbers]}
        return {"method": "ce", "data": "d", "epochs": 1, "seed": seed, "plain": both, "flip": both}

    found = summarize_seeds([result(0, 1.0), result(1, None)])
    assert found["plain"]["ensemble"] == {"top1": {"mean": 50.5, "sd": statistics.stdev([50.0, 51.0])}, "many": None}


def test_what_only_some_runs_have_is_listed_for_every_seed():
    both = {"ensemble": {"top1": 50.0}, "experts": [{"top1": 50.0}]}
    head = {"method": "ride", "data": "d", "epochs": 1, "plain": both, "flip": both}
    results = [head | {"seed": s, "test_time": {"experts_asked": 1.5 + s}} for s in (0, 1)]
    found = summarize_seeds(results)
    assert found["test_time"] == [{"experts_asked": 1.5}, {"experts_asked": 2.5}] and "selected" not in found


def test_a_failing_seed_is_named(tmp_path):
    bad = [recipe_for("digits-lt", seed=3, batch_size=287 * 2, **SHORT)]
    with pytest.raises(LongtailError, match=r"seed 3: batch size 574"):
        train_in_processes(bad, tmp_path, SilentReport(), 1, {"device": "cpu"})


def test_existing_folders_and_too_few_seeds_are_refused(tmp_path):
    recipe = recipe_for("digits-lt", **SHORT)
    with pytest.raises(LongtailError, match="exists already"):
        train_seeds(recipe, 2, tmp_path, SilentReport())
    (tmp_path / "mine.txt").touch()
    with pytest.raises(LongtailError, match=r"not a folder of several seeds' runs .*mine.txt"):
        train_seeds(recipe, 2, tmp_path, SilentReport(), resume=True)
    with pytest.raises(LongtailError, match="seeds is 0"):
        train_seeds(recipe, 0, tmp_path / "x", SilentReport())
