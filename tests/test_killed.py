"""Kills, full disks, read-only folders, Ctrl-C and damaged files lose at most an epoch and never go unnoticed."""

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
def test_a_run_that_is_killed_repeatedly_ends_with_the_weights_of_an_undisturbed_run(tmp_path, seed):
    command = [sys.executable, ROOT / "tests" / "killed.py", tmp_path / "killed", "4", str(seed)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    died, writing = map(int, result.stdout.split())
    assert died >= 3 and writing >= 1
    recipe = recipe_for("digits-lt", method="ecl", epochs=killed.EPOCHS, experts=2, eval_every=5)
    before = torch.get_num_threads()
    train(recipe, tmp_path / "undisturbed", SilentReport(), device="cpu", threads=1)
    torch.set_num_threads(before)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("undisturbed", "killed"))
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    a, b = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("undisturbed", "killed"))
    assert a == b and not list((tmp_path / "killed").glob(".*"))


def read_checkpoint(run: RunFolder) -> dict:
    """Load a checkpoint that must exist."""
    state = load_checkpoint(run)
    assert state is not None
    return state


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Train a run whose folder becomes read-only after two of four epochs; return its folder and the error."""
    write_bytes, written = Path.write_bytes, []

    def fail_from_the_third(self, content):
        written.append(self)
        if len(written) > 2:
            raise OSError(30, "Read-only file system", str(self))
        return write_bytes(self, content)

    monkeypatch.setattr(Path, "write_bytes", fail_from_the_third)
    with pytest.raises(LongtailError) as error:
        train(recipe_for("digits-lt", method="ce", epochs=4), tmp_path / "run", SilentReport())
    monkeypatch.undo()
    return RunFolder(tmp_path / "run"), str(error.value)


def test_a_folder_that_becomes_read_only_keeps_the_last_good_checkpoint_and_says_so(begun):
    run, message = begun
    assert "checkpoint.pt" in message and "Read-only" in message and "untouched" in message and "\n" not in message
    assert read_checkpoint(run)["epoch"] == 2
    train(recipe_for("digits-lt", method="ce", epochs=4), run.path, SilentReport(), resume=True)
    assert run.has("results.json")


def test_a_folder_that_is_read_only_from_the_start_is_one_line(begun, monkeypatch):
    run, _ = begun
    (run.path / ".checkpoint.pt.1.tmp").touch()

    def refuse(self, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(LongtailError, match=r"cannot train in .*Permission denied.*untouched"):
        train(recipe_for("digits-lt", method="ce", epochs=4), run.path, SilentReport(), resume=True)


def test_a_checkpoint_with_a_flipped_bit_anywhere_is_refused_with_a_reason(begun):
    run, _ = begun
    file = run.path / "checkpoint.pt"
    content = file.read_bytes()
    for position in range(0, len(content), len(content) // 23):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        file.write_bytes(damaged)
        try:
            state = read_checkpoint(run)
        except LongtailError as error:
            assert "was not loaded" in str(error)
        else:  # an unused byte, such as padding or a time
            file.write_bytes(content)
            assert all(torch.equal(state["method"][k], v) for k, v in read_checkpoint(run)["method"].items())


def flip_bits(file: Path) -> Iterator[int]:
    """Flip a bit in each byte of the pickle inside a file of torch.save, one after another; yield each position."""
    with zipfile.ZipFile(file) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    content = file.read_bytes()
    start = content.index(pickled)
    for i in range(start, start + len(pickled)):
        file.write_bytes(content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :])
        yield i


def test_a_flipped_bit_in_the_pickle_of_a_checkpoint_or_of_weights_is_a_one_line_error(tmp_path):
    file, keys = tmp_path / "checkpoint.pt", ("stage", "epoch", "rows", "method", "optimiser", "recipe")
    torch.save({key: {"one": torch.zeros(2)} for key in keys}, file)
    for read, reason in (
        (lambda: load_checkpoint(RunFolder(tmp_path)), "was not loaded"),
        (lambda: load_weights_file(str(file)), ""),
    ):
        content = file.read_bytes()
        for _ in flip_bits(file):
            with pytest.raises(LongtailError, match=rf"is damaged \(in .*data.pkl\).*{reason}") as refused:
                read()
            assert "\n" not in str(refused.value)
        file.write_bytes(content)


@pytest.mark.parametrize("error", READ_FAILURES)
def test_any_error_of_torch_about_weights_in_the_old_format_is_one_line(tmp_path, error, monkeypatch):
    file = tmp_path / "old.pth"  # this format has no checksums, so flipped bits could crash the process
    torch.save({"one": torch.zeros(2)}, file, _use_new_zipfile_serialization=False)
    assert load_weights_file(str(file))["one"].tolist() == [0, 0]

    def fail(*arguments, **options):
        raise error("unexpected\nand more")

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(LongtailError, match="old") as refused:
        load_weights_file(str(file))
    assert "\n" not in str(refused.value)


def test_half_a_checkpoint_is_refused_with_a_reason(begun):
    run, _ = begun
    file = run.path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(LongtailError, match="is not a checkpoint of longtail"):
        load_checkpoint(run)


# short sleeps: a signal that comes just before one is answered after it
@pytest.mark.parametrize("when", ["import time\nwhile True:\n    time.sleep(0.05)", "raise KeyboardInterrupt"])
def test_ctrl_c_while_torch_is_loaded_is_one_line(tmp_path, when):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(f"open({str(tmp_path / 'loading')!r}, 'w').close()\n{when}\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "longtail", "figure"]
    with subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True) as process:
        while not (tmp_path / "loading").exists():
            assert process.poll() is None
            time.sleep(0.01)
        if "sleep" in when:
            process.send_signal(signal.SIGINT)
        error = process.communicate()[1]
    assert process.returncode == 130 and error.count("\n") == 1 and error.startswith("longtail: interrupted")
