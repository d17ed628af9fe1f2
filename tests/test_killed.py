"""Nothing is lost: kill -9, full disks, read-only folders, Ctrl-C, damaged files."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from longtail import LongtailError
from longtail.checkpoint import load_checkpoint
from longtail.launch import train
from longtail.nets.pretrained import READ_FAILURES, load_weights_file
from longtail.recipes import recipe_for
from longtail.runs.folder import RunFolder
from longtail.tracking import SilentReport
from tests import killed

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))])
def test_a_run_killed_again_and_again_ends_with_the_weights_of_one_left_alone(tmp_path, seed):
    command = [sys.executable, ROOT / "tests" / "killed.py", tmp_path / "killed", "4", str(seed)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    died, writing = map(int, found.stdout.split())
    assert died >= 3 and writing >= 1
    recipe = recipe_for("digits-lt", method="ecl", epochs=killed.EPOCHS, experts=2, eval_every=5)
    before = torch.get_num_threads()
    train(recipe, tmp_path / "alone", SilentReport(), device="cpu", threads=1)
    torch.set_num_threads(before)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "killed"))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    a, b = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("alone", "killed"))
    assert a == b and not list((tmp_path / "killed").glob(".*"))


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A run of four epochs that stopped because its folder could not be written any more, and the error."""
    whole, epochs = Path.write_bytes, []

    def fails_from_the_third(self, content):
        epochs.append(self)
        if len(epochs) > 2:
            raise OSError(30, "Read-only file system", str(self))
        return whole(self, content)

    monkeypatch.setattr(Path, "write_bytes", fails_from_the_third)
    with pytest.raises(LongtailError) as error:
        train(recipe_for("digits-lt", method="ce", epochs=4), tmp_path / "run", SilentReport())
    monkeypatch.undo()
    return RunFolder(tmp_path / "run"), str(error.value)


def test_a_folder_that_becomes_read_only_keeps_the_last_good_checkpoint_and_says_so(begun):
    run, message = begun
    assert "checkpoint.pt" in message and "Read-only" in message and "untouched" in message and "\n" not in message
    assert load_checkpoint(run)["epoch"] == 2
    train(recipe_for("digits-lt", method="ce", epochs=4), run.path, SilentReport(), resume=True)
    assert run.has("results.json")


def test_a_folder_that_is_read_only_from_the_start_is_one_line(begun, monkeypatch):
    run, _ = begun
    litter = run.path / ".checkpoint.pt.1.tmp"
    litter.touch()

    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(LongtailError, match=r"cannot train in .*Permission denied.*untouched"):
        train(recipe_for("digits-lt", method="ce", epochs=4), run.path, SilentReport(), resume=True)


def test_a_checkpoint_with_a_flipped_bit_anywhere_is_refused_with_a_reason(begun):
    run, _ = begun
    file = run.path / "checkpoint.pt"
    content = file.read_bytes()
    for place in range(0, len(content), len(content) // 23):
        spoiled = bytearray(content)
        spoiled[place] ^= 0x10
        file.write_bytes(spoiled)
        try:
            state = load_checkpoint(run)
        except LongtailError as error:
            assert "was not loaded" in str(error)
        else:  # a byte that means nothing, such as padding or a time
            file.write_bytes(content)
            assert all(torch.equal(state["method"][k], v) for k, v in load_checkpoint(run)["method"].items())


def flipped(file: Path) -> Iterator[int]:
    """Flip a bit in each byte of the pickle inside a file of torch.save, one after another."""
    with zipfile.ZipFile(file) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    content = file.read_bytes()
    begin = content.index(pickled)
    for place in range(begin, begin + len(pickled)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        yield place


def test_a_flipped_bit_in_the_pickle_of_a_checkpoint_or_of_weights_is_one_line(tmp_path):
    file, keys = tmp_path / "checkpoint.pt", ("stage", "epoch", "rows", "method", "optimiser", "recipe")
    torch.save({key: {"one": torch.zeros(2)} for key in keys}, file)
    for read, part in (
        (lambda: load_checkpoint(RunFolder(tmp_path)), "was not loaded"),
        (lambda: load_weights_file(str(file)), ""),
    ):
        whole = file.read_bytes()
        for _ in flipped(file):
            with pytest.raises(LongtailError, match=rf"is damaged \(in .*data.pkl\).*{part}") as refused:
                read()
            assert "\n" not in str(refused.value)
        file.write_bytes(whole)


@pytest.mark.parametrize("error", READ_FAILURES)
def test_whatever_torch_raises_over_weights_of_the_old_form_is_one_line(tmp_path, error, monkeypatch):
    file = tmp_path / "old.pth"  # has no checksums; to flip its bits could harm the process that reads them
    torch.save({"one": torch.zeros(2)}, file, _use_new_zipfile_serialization=False)
    assert load_weights_file(str(file))["one"].tolist() == [0, 0]

    def broken(*given, **how):
        raise error("unexpected\nand more")

    monkeypatch.setattr(torch, "load", broken)
    with pytest.raises(LongtailError, match="old") as refused:
        load_weights_file(str(file))
    assert "\n" not in str(refused.value)


def test_half_a_checkpoint_is_refused_with_a_reason(begun):
    run, _ = begun
    file = run.path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(LongtailError, match="is not a checkpoint of longtail"):
        load_checkpoint(run)


@pytest.mark.parametrize("when", ["import time; time.sleep(60)", "raise KeyboardInterrupt"])
def test_ctrl_c_while_torch_is_loaded_is_one_line(tmp_path, when):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"open({str(tmp_path / 'loading')!r}, 'w').close()\n{when}\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "longtail", "methods"]
    with subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True) as process:
        while not (tmp_path / "loading").exists():
            assert process.poll() is None
            time.sleep(0.01)
        if "sleep" in when:
            process.send_signal(signal.SIGINT)
        error = process.communicate()[1]
    assert process.returncode == 130 and error.count("\n") == 1 and error.startswith("longtail: interrupted")
