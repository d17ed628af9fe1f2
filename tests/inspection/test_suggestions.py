"""The three commands at the end of an inspection, and what they cost."""

import re
import shlex

import pytest

from longtail import LongtailError
from longtail.commands import app
from longtail.commands.inspect import inspect_data
from longtail.inspection import suggestions
from longtail.inspection.page import render_page
from longtail.inspection.suggestions import Suggestion, measure_suggestions, suggest_commands
from longtail.nets import weights
from longtail.recipes import recipe_for
from tests.data.pictures import class_folders

TIMES = r"[\d.]+ (s|min|h)"


@pytest.fixture
def folder(tmp_path):
    """Write three classes with 30, 12 and 4 training images and 3 test images each, one image unreadable."""
    folder = tmp_path / "my photos"
    class_folders(folder / "train", {"a": 30, "b": 12, "c": 4})
    class_folders(folder / "test", {"a": 3, "b": 3, "c": 3}, first=100)
    (folder / "train" / "a" / "0.png").write_bytes(b"no image")
    return folder


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LONGTAIL_CACHE", str(tmp_path / "cache"))


def collect(data):
    return inspect_data(str(data), None, None, None, None, False)


def test_the_commands_are_quick_thorough_and_from_scratch_with_the_flags_that_the_data_need(folder):
    rows = suggest_commands(collect(folder), {"root": None, "val": None, "test": None})
    name = shlex.quote(str(folder))
    assert [row.command for row in rows] == [
        f"longtail train {name} --skip-bad --out runs/my-photos",
        f"longtail train {name} ecl --frozen-views 8 --epochs 60 --queue 16 --skip-bad --out runs/my-photos-ecl",
        f"longtail train {name} ecl --recipe scratch --epochs 400 --size 32 --queue 16 --skip-bad "
        "--out runs/my-photos-scratch",
    ]
    (row, *_) = suggest_commands(collect(folder / "train"), {"root": "/elsewhere", "val": None, "test": None})
    flags = "--root /elsewhere --test-share 0.2 --skip-bad --out runs/train"
    assert row.command == f"longtail train {shlex.quote(str(folder / 'train'))} {flags}"


def test_every_command_is_one_that_the_recipe_takes(folder):
    for row in suggest_commands(collect(folder), {}):
        recipe = recipe_for(row.data, row.recipe, method=row.method, **row.flags)
        assert recipe.frozen == (row.name != "from scratch") and recipe.skip_bad
        assert recipe.method == ("logit_adjustment" if row.name == "quick" else "ecl")


def test_time_and_memory_are_measured_also_where_test_images_are_held_out(folder):
    facts = collect(folder / "train")
    small = {"net": "conv4", "size": 8, "epochs": 2, "test_share": 0.2, "skip_bad": True}
    (row,) = measure_suggestions([Suggestion("from scratch", facts.data, "ce", "scratch", small)], facts)
    assert re.fullmatch(rf"{TIMES} \({TIMES} training\), [\d.]+ GiB", row.cost)


def test_without_pretrained_weights_the_reason_stands_in_place_of_a_time(folder, monkeypatch):
    def fail(*_: object) -> None:
        raise LongtailError("the weights of X are not installed; install them again, or take others")

    monkeypatch.setattr(weights, "load_lite0", fail)
    facts = collect(folder)
    rows = measure_suggestions(suggest_commands(facts, {})[:2], facts)
    assert [row.cost for row in rows] == ["the weights of X are not installed"] * 2


@pytest.mark.parametrize("counts, reason", [({"a": 3}, "one class only"), ({"a": 1, "b": 0}, "batch size")])
def test_a_set_too_small_to_train_on_is_inspected_and_the_reason_given(tmp_path, counts, reason):
    class_folders(tmp_path / "set" / "train", counts)
    class_folders(tmp_path / "set" / "test", {"a": 1}, first=9)
    facts = collect(tmp_path / "set")
    small = {"net": "conv4", "size": 8, "epochs": 2}
    (row,) = measure_suggestions([Suggestion("from scratch", facts.data, "ce", "scratch", small)], facts)
    assert row.cost.startswith(reason)


def test_the_terminal_and_the_page_end_with_the_commands_and_their_cost(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(suggestions, "measure_cost", lambda row, *_: f"cost of {row.name}")
    with pytest.raises(SystemExit) as stop:
        app.main(["inspect", str(folder), "--out", str(tmp_path / "page.html")])
    printed, page = capsys.readouterr().out, re.sub("</?span>|<wbr>", "", (tmp_path / "page.html").read_text())
    assert stop.value.code == 0
    for row in suggest_commands(collect(folder), {}):
        assert row.command in printed and f"cost of {row.name}" in printed and f"cost of {row.name}" in page
        assert row.command.replace(f"{folder.parent}/", "").replace("'", "&#39;") in page


def test_known_data_sets_have_one_command_and_no_table(tmp_path, capsys):
    facts = inspect_data("digits-lt", None, None, None, None, False)
    assert "Commands" not in render_page(facts, [])
    with pytest.raises(SystemExit):
        app.main(["inspect", "digits-lt", "--out", str(tmp_path / "page.html")])
    assert "frozen" not in capsys.readouterr().out
