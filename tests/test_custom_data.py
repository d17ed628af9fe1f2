"""Runs on custom data, from the command line to the numbers, and the epoch that validation selects."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.commands.console import format_selected
from longtail.evaluate import compute_logits, predict_subset
from longtail.recipe import Recipe
from longtail.recipes import recipe_for
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import RunFolder
from longtail.selection import find_best_epoch
from tests.data.pictures import class_folders, picture

ROOT = Path(__file__).resolve().parents[1]
FAST = ["ce", "--net", "conv4", "--size", "8", "--epochs", "3", "--threads", "1"]


def same(a: Path, b: Path) -> bool:
    """Return whether two files hold the same weights."""
    a, b = load_file(a), load_file(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def run(*words: object) -> int:
    """Run a command and return its exit code."""
    with pytest.raises(SystemExit) as stop:
        app.main([str(word) for word in words])
    return stop.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "my birds"
    class_folders(folder / "train", {"owl": 120, "wren 2": 20, "wren 10": 3, "kiwi": 1})
    class_folders(folder / "test", {"owl": 6, "wren 10": 4}, first=400)
    return folder


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """Train with a validation subset and keep the best epoch by few-shot accuracy; returns the folder and the command."""
    out = tmp_path_factory.mktemp("runs") / "first"
    words = ["train", folder, *FAST, "--val-share", "0.2", "--select", "few", "--out", out]
    assert run(*words) == 0
    return out, words


def test_a_run_on_a_folder_names_its_classes_and_leaves_cells_of_untested_classes_empty(finished, folder):
    out, _ = finished
    rows = {row["name"]: row for row in csv.DictReader((out / "per_class.csv").open())}
    assert list(rows) == ["kiwi", "owl", "wren 2", "wren 10"]
    assert rows["wren 2"]["plain"] == "" and rows["kiwi"]["train_images"] == "1" and rows["owl"]["train_images"] == "96"
    results = json.loads((out / "results.json").read_text())
    assert results["plain"]["ensemble"]["many"] is None and results["data"] == str(folder)
    assert json.loads((out / "split.json").read_text())["val_images"] == 29
    recipe = RunFolder(out).read_json("recipe.json")
    assert recipe["imbalance"] is None and recipe["batch_size"] == 16 and recipe["views"] == "custom-8"


def test_a_folder_without_test_images_trains_with_a_fifth_held_out_and_says_so_in_one_line(folder, tmp_path, capsys):
    words = ["train", folder / "train", *FAST[:-4], "--epochs", "1", "--out"]
    assert run(*words, tmp_path / "run") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert (
        "no test images: about 0.2 of every class is held out to test on, always the same images; --test-share" in text
    )
    assert "0.2 of every class held out to test," in text or "0.2 of every class held out to test" in text
    split, recipe = (RunFolder(tmp_path / "run").read_json(name) for name in ("split.json", "recipe.json"))
    assert split["test_images"] == 29 and recipe["test_share"] == 0.2
    for name in ("results.json", "manifest.json"):
        (tmp_path / "run" / name).unlink()
    assert run(*words, tmp_path / "run", "--resume") == 0, "a resumed run holds the same images out"
    assert run("evaluate", tmp_path / "run") == 0
    assert run(*words, tmp_path / "own", "--test-share", "0.1") == 0
    assert "no test images" not in capsys.readouterr().out.partition("single")[2]
    assert RunFolder(tmp_path / "own").read_json("recipe.json")["test_share"] == 0.1


def test_the_selected_epoch_is_the_best_on_validation_and_reported_beside_the_last(finished):
    out, _ = finished
    results, rows = json.loads((out / "results.json").read_text()), list(csv.DictReader((out / "metrics.csv").open()))
    selected, best = results["selected"], max(float(row["val_few"]) for row in rows)
    assert selected["by"] == "few" and selected["val"]["few"] == best and results["epochs"] == 3
    assert selected["epoch"] == next(int(row["epoch"]) for row in rows if float(row["val_few"]) == best)
    model = longtail.load(out, selected=True)
    split = model.recipe.load_split()
    found = predict_subset(model.method, split.test, model.transform_set).results(model.train_counts)
    assert found["plain"] == selected["plain"]
    assert f"epoch {selected['epoch']}, best in few on the validation images: top-1" in format_selected(selected)


def test_evaluate_predict_and_export_take_the_selected_epoch_on_request(finished, folder, capsys, tmp_path):
    out, _ = finished
    selected = json.loads((out / "results.json").read_text())["selected"]
    assert run("evaluate", out, "--selected") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"{selected['plain']['ensemble']['top1']:.1f}" in text and f"epoch {selected['epoch']} (selected)" in text
    tables = [tmp_path / "last.csv", tmp_path / "selected.csv"]
    for table, words in zip(tables, ([], ["--selected"]), strict=True):
        assert run("predict", out, folder / "test", "--out", table, *words) == 0
    assert tables[0].read_text() != tables[1].read_text()
    assert run("export", out, "--format", "safetensors", "--selected") == 0
    made = out / "export-selected.safetensors"
    assert same(out / "selected.safetensors", made) and not same(out / "model.safetensors", made)
    made.unlink()


def test_the_last_epoch_is_the_headline_whatever_is_selected(finished, tmp_path):
    out, words = finished
    assert run(*words[:-4], "--out", tmp_path / "plain") == 0
    assert {**json.loads((out / "results.json").read_text()), "selected": 0} == {
        **json.loads((tmp_path / "plain" / "results.json").read_text()),
        "selected": 0,
    }
    assert same(out / "model.safetensors", tmp_path / "plain" / "model.safetensors")


@pytest.mark.parametrize("metric, best", [("top1", 2), ("ece", 3)])
def test_the_first_of_the_best_epochs_is_selected(metric, best):
    rows = [{"epoch": e, "val_top1": t, "val_ece": c} for e, t, c in [(1, 50.0, 9.0), (2, 60.0, 8.0), (3, 60.0, 2.0)]]
    assert find_best_epoch(rows, metric)["epoch"] == best


def test_evaluate_finds_the_folder_again_and_says_when_it_has_changed(finished, folder, capsys, monkeypatch, tmp_path):
    out, _ = finished
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", out) == 0 and "my-birds" in capsys.readouterr().out
    moved = folder.rename(folder.with_name("moved"))
    try:
        assert run("evaluate", out) == 2 and "my birds is not there" in capsys.readouterr().err
        assert run("evaluate", out, "--data", moved) == 0
    finally:
        moved.rename(folder)
    new = picture(folder / "test" / "owl" / "new.png", 900)
    try:
        assert run("evaluate", out) == 2 and "other test images" in capsys.readouterr().err
    finally:
        new.unlink()


def test_a_killed_run_on_a_folder_is_resumed_to_the_same_weights(finished, tmp_path, monkeypatch):
    out, words = finished
    copy = tmp_path / "again"
    shutil.copytree(out, copy)
    state = torch.load(copy / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == 3
    for name in ("results.json", "model.safetensors", "checkpoint.pt", "selected.safetensors"):
        (copy / name).unlink()
    monkeypatch.chdir(copy)
    relative = os.path.relpath(words[1], copy)
    assert run("train", relative, *words[2:-1], copy, "--resume") == 0
    for name in ("model.safetensors", "selected.safetensors"):
        assert same(out / name, copy / name)


@pytest.mark.parametrize("subset", ["test", "val"])
def test_a_killed_run_does_not_resume_with_other_images_to_evaluate(subset, tmp_path, capsys):
    for name, n in (("train", 8), ("test", 2), ("val", 2)):
        for place in range(2 * n):
            picture(tmp_path / "birds" / name / ("owl", "jay")[place % 2] / f"{place}.png", place)
    words = ["train", tmp_path / "birds", "ce", "--net", "conv4", "--size", "8", "--out", tmp_path / "run"]
    assert run(*words, "--epochs", "1") == 0
    (tmp_path / "run" / "results.json").unlink()
    (tmp_path / "birds" / subset / "owl" / "0.png").unlink()
    assert run(*words, "--epochs", "1", "--resume") == 2 and f"other {subset} images" in capsys.readouterr().err
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_post_hoc_method_selects_no_epoch_and_is_validated_after_its_last_step(folder, tmp_path, capsys):
    words = ["train", folder, "tau_norm", *FAST[1:], "--val-share", "0.2", "--out", tmp_path / "run"]
    assert run(*words, "--select", "few") == 2 and "is made after the last one" in capsys.readouterr().err
    assert run(*words, "--tau", "4") == 0
    with (tmp_path / "run" / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    model = longtail.load(tmp_path / "run")
    val = FinishedRun.open(tmp_path / "run").load_data().val
    z = compute_logits(model.method, val, model.recipe.transform_set).mean(0)
    assert float(last["val_top1"]) == pytest.approx(100 * (z.argmax(1) == val.labels).float().mean().item())


BAD = {
    "no validation images": (["--select", "few"], "--val-share 0.1 holds"),
    "a metric that none can have": (
        ["--select", "medium", "--val", "VAL"],
        "none of the classes that it counts has validation images",
    ),
    "unknown metric": (["--select", "fwe"], "unknown metric to select by 'fwe'; did you mean 'few'"),
    "share of one": (["--val-share", "1"], "val-share is 1.0; it must be below 1"),
    "a size too small": (["--size", "4"], "the side must be 8 to 1024"),
    "a size of other views": (["--views", "cifar"], "views 'cifar' are for 32 x 32 images; leave --size out"),
    "fractional size": (["--size", "8.5"], "--size"),
    "too many tests": (["--test-share", "0.2"], "has a test subset already"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_give_one_line(case, folder, capsys, tmp_path):
    flags, message = BAD[case]
    (tmp_path / "VAL").mkdir()
    shutil.copytree(folder / "test" / "owl", tmp_path / "VAL" / "owl")
    flags = [str(tmp_path / "VAL") if flag == "VAL" else flag for flag in flags]
    words = ["--size", "8", *flags] if "--size" not in flags else flags
    assert run("train", folder, "ce", "--net", "conv4", "--out", tmp_path / "run", *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "run").exists()


def test_a_set_too_large_for_memory_is_streamed_to_the_same_model(folder, capsys, tmp_path, monkeypatch):
    assert run("train", folder, *FAST, "--out", tmp_path / "memory") == 0
    monkeypatch.setattr("longtail.data.memory.MEMORY_LIMIT", 10)
    assert run("train", folder, *FAST, "--workers", "0", "--out", tmp_path / "files") == 0
    assert "streamed from files" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "files" / "report.html").exists()
    weights = [longtail.load(tmp_path / name).method.state_dict() for name in ("memory", "files")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_known_sets_hold_out_a_validation_subset_too():
    split = recipe_for("digits-lt", val_share=0.2).load_split()
    whole = recipe_for("digits-lt").load_split()
    assert len(split.train) + len(split.val) == len(whole.train) and min(split.classes.counts) > 0
    assert split.digest("test") == whole.digest("test")


def test_recipes_saved_before_custom_data_existed_still_load():
    old = recipe_for("digits-lt").asdict()
    for name in ("val", "test", "val_share", "test_share", "skip_bad", "select", "weights"):
        del old[name]
    assert Recipe(**old) == recipe_for("digits-lt")


def test_data_is_a_known_name_or_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert recipe_for("digits").data == str(tmp_path / "digits")
    assert recipe_for("imagenet-lt").imbalance is None
    with pytest.raises(LongtailError, match=r"unknown data 'photos.csv'.* or a path"):
        recipe_for("photos.csv")


PAGE = (Path(__file__).resolve().parents[1] / "docs" / "custom-data.md").read_text()
QUICK = {"--epochs": "1", "--net": "conv4", "--threads": "1", "--eval-every": "0"}


def test_a_folder_whose_name_is_not_utf8_is_inspected_and_trained_on(tmp_path, monkeypatch):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/ph\xe9")
    class_folders(Path(folder) / "train", {"owl": 8, "wren": 8})
    class_folders(Path(folder) / "test", {"owl": 2, "wren": 2}, first=400)
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "longtail", "inspect", folder]
    found = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0 and "ph\\udce9" in found.stdout, found.stderr
    monkeypatch.chdir(tmp_path)
    assert run("train", folder, *FAST) == 0
    pages = [tmp_path / "inspect-ph\\udce9.html", tmp_path / "runs" / "ph\\udce9-ce-seed0" / "report.html"]
    assert all("ph\\udce9" in page.read_text(encoding="utf-8") for page in pages)


def test_a_path_may_begin_with_a_tilde(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    recipe = recipe_for(f"~/{folder.name}", weights="~/w.pth", val="~/val.txt")
    assert recipe.data == str(folder)
    assert (recipe.weights, recipe.val) == (str(folder.parent / "w.pth"), str(folder.parent / "val.txt"))
    for changes in ({"weights": "~nosuch/w.pth"}, {"test": "~nosuch/x"}):
        with pytest.raises(LongtailError, match="begins with the home of an unknown user"):
            recipe_for(folder, **changes)


def quick(words: list[str]) -> list[str]:
    """Return a train command from random weights with a small network and one epoch in place of its options."""
    if not {"--net", "--recipe", "--views"} & set(words):
        return words
    words = [w for before, w in zip(["", *words], words, strict=False) if w not in QUICK and before not in QUICK]
    return [*words, *(word for pair in QUICK.items() for word in pair)]


@pytest.mark.slow
def test_every_command_of_the_page_runs_as_printed(tmp_path, monkeypatch):
    class_folders(tmp_path / "photos" / "train", {"owl": 24, "wren": 20, "kiwi": 16})
    class_folders(tmp_path / "photos" / "test", {"owl": 4, "wren": 4, "kiwi": 4}, first=400)
    rows = [f"{p.relative_to(tmp_path / 'photos')},{p.parent.name},{p.parts[-3]}" for p in tmp_path.rglob("*.png")]
    (tmp_path / "photos" / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    lines = [line for block in blocks for line in block.splitlines() if "# needs" not in line]
    assert len(lines) == 20
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        assert run(*(quick(words) if words[0] == "train" else words)) == 0, line
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(code.replace("resnet8", "conv4").replace("size=32", "size=8"), {})
    assert (tmp_path / "inspect-photos.html").exists() and (tmp_path / "runs" / "python" / "results.json").exists()
