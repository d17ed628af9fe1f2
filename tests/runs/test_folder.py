"""A run folder: the manifest covers what is read, odd files in it are refused, and a damaged recipe is named."""

import json
import os
import shutil

import pytest
import torch

from longtail import LongtailError
from longtail.checkpoint import load_checkpoint
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.runs.files import hash_file
from longtail.runs.folder import MANIFEST, RunFolder
from longtail.tracking import SilentReport
from tests.dying import KillAt, Killed

RECIPE = {"method": "ce", "epochs": 4, "eval_every": 0}


class Notes(SilentReport, list):
    """Keeps what a run's user is told."""

    def note(self, text: str) -> None:
        self.append(text)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A run that was killed in its third epoch; it was begun with one thread."""
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.raises(Killed):
        train(recipe_for("digits-lt", **RECIPE), out, KillAt(3), threads=1, device="cpu")
    return out


@pytest.fixture
def copied(unfinished, tmp_path):
    """A copy of the unfinished run."""
    return shutil.copytree(unfinished, tmp_path / "run")


def resume(out, report=None, **options) -> RunFolder:
    report = SilentReport() if report is None else report
    return train(recipe_for("digits-lt", **RECIPE), out, report, resume=True, device="cpu", **options)


def test_the_manifest_is_the_last_file_and_holds_the_hash_of_every_result(copied):
    run = resume(copied)
    assert max(copied.iterdir(), key=lambda file: file.stat().st_mtime_ns).name in (MANIFEST, "tensorboard")
    kept = json.loads((copied / MANIFEST).read_text())["sha256"]
    assert kept == {name: hash_file(copied / name) for name in kept}
    left_out = {file.name for file in copied.iterdir() if file.is_file()} - kept.keys()
    assert left_out == {MANIFEST, "checkpoint.pt"}  # which has checksums of its own
    assert run.read_json("model.json")["weights_sha256"] == {"model.safetensors": kept["model.safetensors"]}


def test_the_manifest_of_an_earlier_end_does_not_count(copied):
    run = resume(copied)
    (copied / "results.json").unlink()
    resume(copied)
    assert run.verify("results.json") == hash_file(copied / "results.json")


@pytest.mark.parametrize("name", ["recipe.json", "split.json", "environment.json", "checkpoint.pt"])
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_odd_files_in_a_run_folder_are_refused(copied, name, kind):
    (copied / name).unlink()
    os.mkfifo(copied / name) if kind == "fifo" else (copied / name).symlink_to("/dev/zero")
    with pytest.raises(LongtailError, match=rf"{name} is not a regular file"):
        resume(copied)


def test_a_fifo_in_the_place_of_a_run_folder_is_refused(tmp_path):
    os.mkfifo(tmp_path / "run")
    for again in (False, True):
        with pytest.raises(LongtailError, match="not a run folder"):
            RunFolder.claim(tmp_path / "run", recipe_for("digits-lt"), None, again)


@pytest.mark.parametrize(
    "change", [{"lr": -1.0}, {"seed": "0"}, {"data": 3}, {"options": []}, {"lrr": 1}, {"net": "x"}]
)
def test_a_damaged_recipe_is_named(copied, change):
    recipe = json.loads((copied / "recipe.json").read_text())
    (copied / "recipe.json").write_text(json.dumps(recipe | change))
    with pytest.raises(LongtailError, match=r"run/recipe\.json") as refused:
        RunFolder.open(copied).read_recipe()
    assert "\n" not in str(refused.value)


PLACES = [
    *({"stage": value} for value in (-1, 1, 10**400, True, None, "0", 0.0)),
    *({"epoch": value} for value in (-1, 0, 1, 3, 5, 10**400, True, "2", float("nan"))),
    *({"rows": value} for value in ([], [{}], {}, None, [{"epoch": 2}, {"epoch": 1}])),
]


@pytest.mark.parametrize("change", PLACES, ids=str)
def test_a_checkpoint_with_an_impossible_place_is_refused(copied, change):
    state = load_checkpoint(RunFolder(copied))
    torch.save(state | change, copied / "checkpoint.pt")
    before = hash_file(copied / "checkpoint.pt")
    with pytest.raises(LongtailError, match=r"checkpoint\.pt") as refused:
        resume(copied)
    assert "\n" not in str(refused.value) and hash_file(copied / "checkpoint.pt") == before


@pytest.mark.parametrize("part", ["method", "optimiser"])
def test_a_checkpoint_with_a_number_that_is_none_is_refused(copied, part):
    state = load_checkpoint(RunFolder(copied))
    tensors = state["method"] if part == "method" else state["optimiser"]["state"][0]
    next(value for value in tensors.values() if isinstance(value, torch.Tensor) and value.dim())[0] = torch.nan
    torch.save(state, copied / "checkpoint.pt")
    with pytest.raises(LongtailError, match=r"checkpoint\.pt holds numbers that are not a number"):
        resume(copied)


def test_a_resumed_run_takes_up_its_threads_again_and_says_what_differs_otherwise(copied, tmp_path, monkeypatch):
    again = shutil.copytree(copied, tmp_path / "again")
    seen, before = [], torch.get_num_threads()

    class Watch(Notes):
        def epoch(self, seed, row):
            seen.append(torch.get_num_threads())

    monkeypatch.setattr("os.cpu_count", lambda: 8)
    torch.set_num_threads(2)
    try:
        quiet = Watch()
        resume(copied, quiet)
        assert set(seen) == {1} and torch.get_num_threads() == 2
        assert not [note for note in quiet if "was begun with" in note]
        asked = Watch()
        resume(again, asked, threads=2)
        (note,) = [note for note in asked if "was begun with" in note]
        assert "threads 1, now 2" in note and "\n" not in note and seen[-1] == 2
    finally:
        torch.set_num_threads(before)


def test_a_run_begun_with_more_threads_than_there_are_cores_goes_on_with_a_note(copied):
    environment = json.loads((copied / "environment.json").read_text())
    (copied / "environment.json").write_text(json.dumps(environment | {"threads": 4096, "torch": "1.0"}))
    notes = Notes()
    resume(copied, notes)
    (note,) = [note for note in notes if "was begun with" in note]
    assert "threads 4096, now" in note and "torch 1.0, now" in note
