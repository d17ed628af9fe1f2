"""The recipe: schedules, and runs from before a field existed."""

import json

import pytest
import torch

from longtail import LongtailError, load
from longtail.checkpoint import save_checkpoint
from longtail.launch import train
from longtail.methods import METHODS, get_method_class
from longtail.nets import NETS
from longtail.recipe import Recipe
from longtail.recipes import SCRATCH_NETS, recipe_for
from longtail.reproduce.frozen import FEATURE_METHODS
from longtail.runs.folder import RunFolder
from longtail.step import compute_lr_factor
from longtail.tracking import SilentReport
from tests.dying import KillAt, Killed

NEWER = ("schedule", "milestones", "warmup")


def test_the_recipe_of_ncl_is_that_of_its_paper():
    recipe = recipe_for("cifar100-lt", "ncl-cifar", method="ncl")
    assert (recipe.epochs, recipe.batch_size, recipe.lr, recipe.weight_decay) == (400, 64, 0.1, 2e-4)
    assert recipe.nesterov and recipe.momentum == 0.9
    at = {epoch: 0.1 * compute_lr_factor(recipe, epoch / 400) for epoch in (0, 1, 2.5, 5, 319, 320, 359, 360, 399)}
    expected = {0: 0, 1: 0.02, 2.5: 0.05, 5: 0.1, 319: 0.1, 320: 0.01, 359: 0.01, 360: 0.001, 399: 0.001}
    assert at == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, method, batch_size, decay, rates",
    [
        ("balpoe-cifar", "ride", 128, 5e-4, {5: 0.1, 159: 0.1, 160: 0.01, 180: 0.001}),
        ("sade-cifar", "sade", 128, 5e-4, {2.5: 0.05, 159: 0.1, 160: 0.01, 180: 0.001}),
        ("proco-cifar", "bcl", 256, 2e-4, {5: 0.3, 159: 0.3, 160: 0.03, 180: 0.003}),
        ("paco-cifar", "paco", 128, 5e-4, {5: 0.025, 10: 0.05, 319: 0.05, 320: 0.005, 360: 0.0005}),
    ],
)
def test_recipes_of_other_papers_have_the_rates_of_their_public_schedules(name, method, batch_size, decay, rates):
    recipe = recipe_for("cifar100-lt", name, method=method)
    assert (recipe.batch_size, recipe.weight_decay, recipe.momentum) == (batch_size, decay, 0.9)
    assert {epoch: recipe.lr * compute_lr_factor(recipe, epoch / recipe.epochs) for epoch in rates} == pytest.approx(
        rates
    )


def test_paco_has_the_options_of_its_public_script_under_its_recipe():
    options = recipe_for("cifar100-lt", "paco-cifar", method="paco").options
    assert (options["alpha"], options["temperature"], options["queue"], options["projection"]) == (0.01, 0.05, 1024, 32)


def test_a_cosine_may_warm_up_too_and_does_not_by_default():
    plain, warm = (recipe_for("digits-lt", warmup=w) for w in (0.0, 0.5))
    assert compute_lr_factor(plain, 0) == 1 and compute_lr_factor(plain, 0.5) == pytest.approx(0.5)
    assert compute_lr_factor(warm, 0.25) == pytest.approx(compute_lr_factor(plain, 0.25) / 2)
    assert compute_lr_factor(warm, 0.75) == compute_lr_factor(plain, 0.75)


def test_a_recipe_survives_json():
    recipe = recipe_for("digits-lt", schedule="steps", milestones=(0.5, 0.75), alpha=0.1)
    assert Recipe(**json.loads(json.dumps(recipe.asdict()))) == recipe


BAD = {
    "milestones": [(0.9, 0.8), (0.0,), (0.5, 1.0), ("half",), 0.5],
    "warmup": [1.0, -0.1, float("nan")],
    "schedule": ["linear"],
}


@pytest.mark.parametrize("field, value", [(f, v) for f, values in BAD.items() for v in values])
def test_schedules_out_of_range_are_refused(field, value):
    with pytest.raises(LongtailError, match=field):
        recipe_for("digits-lt", **{field: value})


def make_older(run: RunFolder) -> None:
    """Take from a run the fields that its time did not know."""
    older = {k: v for k, v in run.read_json("recipe.json").items() if k not in NEWER}
    run.write_json("recipe.json", older)
    save_checkpoint(run, torch.load(run.path / "checkpoint.pt", weights_only=True) | {"recipe": older})


def test_a_run_from_before_the_schedule_was_a_field_resumes_and_loads(tmp_path):
    recipe = recipe_for("digits-lt", method="ce", epochs=4)
    whole = train(recipe, tmp_path / "whole", SilentReport())
    with pytest.raises(Killed):
        train(recipe, tmp_path / "old", KillAt(2))
    run = RunFolder(tmp_path / "old")
    make_older(run)
    with pytest.raises(LongtailError, match="schedule is 'cosine' there and 'steps' here"):
        train(recipe.change(schedule="steps"), run.path, SilentReport(), resume=True)
    with pytest.raises(Killed):
        train(recipe, run.path, KillAt(3), resume=True)
    train(
        recipe, run.path, SilentReport(), resume=True
    )  # its checkpoint knows the new fields now, its recipe.json does not
    assert run.read_json("results.json") == whole.read_json("results.json")
    assert load(run.path).recipe == recipe


def test_a_recipe_holds_every_option_so_that_a_run_keeps_those_it_began_with(tmp_path):
    recipe = recipe_for("digits-lt", method="bc", epochs=1)
    assert recipe.options == {"experts": 1, "tau": 1.0, "head": "linear", "scale": 25.0}
    assert recipe.asdict()["options"] == recipe.options
    run = train(recipe, tmp_path / "run", SilentReport())
    other = run.read_json("recipe.json") | {
        "options": recipe.options | {"tau": 0.5}
    }  # as if the default had been another
    (run.path / "manifest.json").unlink()  # a run of version 0.1 had none
    run.write_json("model.json", run.read_json("model.json") | {"options": other["options"]})
    run.write_json("recipe.json", other)
    with pytest.raises(LongtailError, match=r"tau is 0\.5 there and 1\.0 here"):
        train(recipe, run.path, SilentReport(), resume=True)
    assert load(run.path).method.tau == 0.5


@pytest.mark.parametrize("name", ["frozen", "scratch"])
@pytest.mark.parametrize("changes", [{}, *({"epochs": n} for n in (1, 4, 5, 9, 12, 400))])
def test_a_run_on_custom_data_tests_its_accuracy_five_times_at_least(name, changes, tmp_path):
    recipe = recipe_for(tmp_path, name, **changes)
    assert recipe.epochs // recipe.eval_every >= min(recipe.epochs, 5)


def test_the_epochs_between_tests_stay_as_the_user_or_a_paper_has_them(tmp_path):
    assert recipe_for(tmp_path, "scratch", epochs=20, eval_every=0).eval_every == 0
    assert recipe_for("digits-lt", epochs=7).eval_every == recipe_for("digits-lt").eval_every


def test_the_networks_without_pretrained_weights_are_those_of_the_package():
    assert set(SCRATCH_NETS) == set(NETS)


def test_the_methods_of_the_tables_of_features_are_those_that_train_on_features():
    assert set(FEATURE_METHODS) == {name for name in METHODS if get_method_class(name).trains_on_features}
