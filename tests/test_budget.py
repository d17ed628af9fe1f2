"""Runs that fit into some minutes."""

import pytest

import longtail
from longtail import LongtailError, budget
from longtail.budget import fit_budget, fit_minutes
from longtail.commands import app
from longtail.estimate import Estimate
from longtail.recipes import recipe_for
from longtail.tracking import SilentReport
from tests.data.pictures import class_folders

SECONDS = {224: 224, 192: 192, 160: 160, 128: 128, 96: 96}  # of the features, by size


def measure(recipe) -> Estimate:
    """Measure nothing: features take their size in seconds, an epoch a second, a test nothing."""
    prepared = SECONDS[recipe.transform_set.size] if recipe.frozen else 10
    return Estimate(prepared, epoch=1.0, test=0.0, memory=0, stages=2)


@pytest.fixture
def recipe(tmp_path):
    return recipe_for(tmp_path, "frozen")


@pytest.mark.parametrize(
    "minutes, size, epochs",
    [(60, 224, 120), (5.6, 224, 112), (5, 192, 108), (4, 160, 80), (2.4, 96, 48), (1.7, 96, 6)],
)
def test_the_largest_size_that_leaves_a_third_for_training_is_taken_and_epochs_fill_the_rest(
    recipe, minutes, size, epochs
):
    found, text = fit_budget(recipe, minutes, (), measure)
    assert (found.transform_set.size, found.epochs) == (size, epochs)
    assert f"{size} x {size} and {epochs} epochs" in text and found.epochs // found.eval_every >= 5


def test_what_the_user_gives_stays(recipe):
    sized, _ = fit_budget(recipe, 4, {"views"}, measure)
    assert (sized.transform_set.size, sized.epochs) == (224, 16)
    timed, _ = fit_budget(recipe.change(epochs=30), 4, {"epochs"}, measure)
    assert (timed.transform_set.size, timed.epochs) == (192, 30)
    small, _ = fit_budget(recipe.change(views="custom-128"), 60, (), measure)
    assert small.transform_set.size == 128
    assert fit_budget(recipe, 60, {"eval_every"}, measure)[0].eval_every == recipe.eval_every


def test_a_run_from_scratch_is_fitted_by_its_epochs(tmp_path):
    scratch = recipe_for(tmp_path, "scratch")
    found, text = fit_budget(scratch, 1, (), measure)
    assert found.epochs == 50 and found.views == scratch.views and "50 epochs" in text
    assert fit_budget(scratch, 600, (), measure)[0].epochs == 4 * scratch.epochs


def test_a_budget_below_the_shortest_run_is_refused_with_the_least(recipe):
    with pytest.raises(LongtailError, match=r"minutes is 1; the shortest run takes about 1.6 .*96 x 96 and 2 epochs"):
        fit_budget(recipe, 1, (), measure)


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--epochs", "3", "--size", "96"], "--minutes has no effect where --epochs and --size are given"),
        (["--recipe", "scratch", "--epochs", "3"], "--minutes has no effect where --epochs is given"),
        (["--seeds", "2"], "minutes is of one run"),
    ],
)
def test_minutes_without_effect_are_refused_in_one_line(tmp_path, capsys, flags, message):
    class_folders(tmp_path / "photos" / "train", {"a": 8, "b": 8})
    class_folders(tmp_path / "photos" / "test", {"a": 2, "b": 2}, first=50)
    words = ["train", str(tmp_path / "photos"), *flags, "--minutes", "5", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stop:
        app.main(words)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message.removeprefix("minutes ") in error and not (tmp_path / "run").exists()


def test_a_run_in_minutes_keeps_its_choice_and_resumes_with_it(tmp_path, monkeypatch):
    class_folders(tmp_path / "photos" / "train", {"a": 8, "b": 8})
    class_folders(tmp_path / "photos" / "test", {"a": 2, "b": 2}, first=50)
    fields = {"recipe": "scratch", "net": "conv4", "size": 8, "device": "cpu", "out": tmp_path / "run"}
    monkeypatch.setattr(budget, "estimate_run", lambda *_: Estimate(9.0, epoch=3.0, test=0.0, memory=0, stages=1))
    model = longtail.train(tmp_path / "photos", "ce", minutes=0.3, **fields)
    assert model.recipe.epochs == 3 and model.recipe.eval_every == 1
    monkeypatch.setattr(budget, "estimate_run", None)  # the choice is there already
    again = longtail.train(tmp_path / "photos", "ce", minutes=0.5, resume=True, **fields)
    assert again.recipe == model.recipe
    with pytest.raises(LongtailError, match="exists already"):
        longtail.train(tmp_path / "photos", "ce", minutes=0.3, **fields)


def test_minutes_are_a_number_above_0(recipe, tmp_path):
    with pytest.raises(LongtailError, match="minutes is 0; it must be above 0"):
        fit_minutes(recipe, 0, (), tmp_path / "run", SilentReport())
