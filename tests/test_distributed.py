"""Many processes: two of them (gloo, on the CPU) compute what one does."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from longtail import LongtailError
from longtail.augment import get_transform_set
from longtail.checkpoint import load_checkpoint
from longtail.data import Loader, load_split
from longtail.distributed import SINGLE_PROCESS, World, init_process_group, init_world
from longtail.launch import train
from longtail.methods import METHODS
from longtail.recipes import recipe_for
from longtail.runs.folder import RunFolder
from longtail.seeds import train_seeds
from longtail.stages import build_loader
from longtail.tracking import SilentReport
from tests import ranks

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")


def torchrun(*words: object) -> list[str]:
    """A command in two processes of this machine."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, words)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[dict]:
    """What `ranks.py` found in each of two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    command = torchrun(ROOT / "tests" / "ranks.py", folder)
    found = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert found.returncode == 0 and "Warning" not in found.stderr, found.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def close(a: dict, b: dict, atol: float) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(a[k], b[k], rtol=0, atol=atol) for k in a)


def unequal(a: dict, b: dict) -> list[str]:
    return [k for k in a if not torch.equal(a[k], b[k])]


@pytest.mark.parametrize("name", METHODS)
def test_two_processes_take_the_steps_of_one_on_the_joint_batch_in_every_stage(two, name):
    first, second = (found["methods"][name] for found in two)
    assert not unequal(first, second)
    with ranks.in_double():
        assert close(first, ranks.after_stages(name, SINGLE_PROCESS), atol=1e-12)


def test_two_processes_translate_images_as_one_does(two):
    first, second = (found["translated"] for found in two)
    assert not unequal(first, second) and close(first, ranks.translated(SINGLE_PROCESS), atol=1e-12)
    layer = "encoders.experts.0.body.layers.0.weight"  # with images that were translated, unlike with the defaults
    assert not torch.equal(first[layer], two[0]["methods"]["m2m"][layer])


def test_two_processes_are_close_to_one_in_half_precision(two):
    assert close(two[0]["half"], ranks.after_stages("ecl", SINGLE_PROCESS, precision="bf16"), atol=2e-2)


def test_two_processes_with_batches_in_parts_stay_alike(two):
    assert not unequal(two[0]["parts"], two[1]["parts"])


def test_joint_batch_norm_is_batch_norm_of_all_rows(two):
    expected = ranks.through_batch_norm(SINGLE_PROCESS)
    both = {name: torch.cat([found["norm"][name] for found in two]) for name in ("x", "y")}
    summed = {name: two[0]["norm"][name] + two[1]["norm"][name] for name in ("0.weight", "0.bias")}
    running = {name: value for name, value in two[1]["norm"].items() if name not in both | summed}
    assert close(both | summed | running, expected, atol=1e-9)


def test_an_error_in_any_process_is_raised_in_all(two):
    told = ["disk of 0", "process 1 of 2: disk of 1", "disk of 0", "disk of 0"]
    assert two[0]["errors"] == two[1]["errors"] == told


def test_shares_are_gathered_in_order_without_filler_and_values_come_from_the_first(two):
    for rank, found in enumerate(two):
        assert found["gathered"].tolist() == [0, 1, 2, 3, 4] and found["made"] == (0, rank)


@pytest.mark.parametrize("n, size", [(5, 2), (1, 3), (700, 3), (0, 2)])
def test_every_row_belongs_to_one_process(n, size):
    shares = [list(range(n))[World(CPU, rank, size).shard(n)] for rank in range(size)]
    assert [row for share in shares for row in share] == list(range(n))


def test_order_and_augmentation_do_not_depend_on_the_number_of_processes():
    split, views = load_split("digits-lt", 50.0), list(get_transform_set("digits").transforms.values())
    (whole,) = next(iter(Loader(split, views, 32, 0, CPU, 1024).epoch(3)))
    parts = [next(iter(Loader(split, views, 32, 0, CPU, 96, rank=r, world_size=4).epoch(3)))[0] for r in range(4)]
    for i in range(3):
        joint = [part.batch(i, torch.zeros(())) for part in parts]
        one = whole.batch(i, torch.zeros(()))
        assert torch.equal(torch.cat([b.y for b in joint]), one.y)
        assert torch.equal(torch.cat([b.index for b in joint]), one.index)
        for v, view in enumerate(one.views):
            assert torch.equal(torch.cat([b.views[v] for b in joint]), view)


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    recipe, split = recipe_for("digits-lt", batch_size=30, accumulate=2), load_split("digits-lt", 50.0)
    method = recipe.build_method(split.classes.counts)
    with pytest.raises(LongtailError, match="ask for a multiple of 4, such as 28"):
        build_loader(recipe, method, split, World(CPU, 0, 2))
    assert len(build_loader(recipe, method, split, SINGLE_PROCESS).images) == 287


def test_a_batch_in_parts_is_the_same_step_where_batch_norm_has_no_say(monkeypatch):
    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", lambda self, x: x)
    whole, parts = (ranks.after_stages("ecl", SINGLE_PROCESS, accumulate=n) for n in (1, 4))
    assert close(whole, parts, atol=2e-5)


@pytest.mark.parametrize("method", ["ecl", "mislas"])  # with queue and keys; with two stages and images mixed in pairs
def test_torchrun_trains_the_run_that_one_process_trains(tmp_path, method):
    words = ["-m", "longtail", "train", "digits-lt", method, "--epochs", "2", "--eval-every", "1", "--lr", "0.02"]
    command = torchrun(*words, "--out", tmp_path / "two")
    found = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("287 training images, 10 classes") == 1 and "cpu x 2, fp32" in found.stdout
    assert "Warning" not in found.stderr
    train(recipe_for("digits-lt", method=method, epochs=2, eval_every=1, lr=0.02), tmp_path / "one", SilentReport())
    one, other = (RunFolder(tmp_path / name) for name in ("one", "two"))
    assert close(load_checkpoint(one)["method"], load_checkpoint(other)["method"], atol=1e-3)
    assert {p.name for p in one.path.iterdir()} | {"report.html"} == {p.name for p in other.path.iterdir()}
    assert one.read_json("recipe.json") == other.read_json("recipe.json")


def test_seeds_side_by_side_and_devices_by_number_are_refused_in_many_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LongtailError, match="--seeds"):
        train_seeds(recipe_for("digits-lt"), 2, tmp_path / "run", SilentReport())
    with pytest.raises(LongtailError, match="cuda:1 is one GPU but there are 2 processes"):
        init_process_group("cuda:1", 2)


def children(pid: int) -> dict[int, int]:
    """The process of each rank that torchrun started."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError, KeyError, IndexError):
            pairs = [
                item.split("=", 1) for item in Path(f"/proc/{child}/environ").read_text().split("\0") if "=" in item
            ]
            found[int(dict(pairs)["RANK"])] = int(child)
    return found


def kill_a_rank(process: subprocess.Popen, run: Path) -> None:
    """Wait for a checkpoint, then kill rank 1 as a failing machine would."""
    while not (run / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.kill(children(process.pid)[1], signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_process_that_dies_ends_the_run_with_a_line_and_the_checkpoint_is_good(tmp_path):
    words = ["-m", "longtail", "train", "digits-lt", "ce", "--epochs", "1000", "--eval-every", "0"]
    command = torchrun(*words, "--out", tmp_path / "run")
    with subprocess.Popen(command, env=environment(), stdout=-1, stderr=-1, text=True) as process:
        kill_a_rank(process, tmp_path / "run")
        error = process.communicate()[1]
    lines = [line for line in error.splitlines() if line.startswith("longtail:")]
    assert process.returncode != 0 and len(lines) == 1 and "--resume" in lines[0]
    assert "lost another one" in lines[0] or "stopped by torchrun" in lines[0]  # which of the two is noticed first
    assert load_checkpoint(RunFolder(tmp_path / "run"))["epoch"] >= 1
    with RunFolder(tmp_path / "run").locked():
        assert not list((tmp_path / "run").glob(".*.tmp"))


def test_processes_that_are_started_again_meet_even_if_the_first_is_late(tmp_path):
    (tmp_path / "script.py").write_text(
        "import os, sys, time\nfrom longtail.distributed import init_world\n"
        "again = os.environ['TORCHELASTIC_RESTART_COUNT'] == '1'\n"
        "time.sleep(3 * (again and os.environ['RANK'] == '0'))\n"
        "world = init_world('cpu')\n"
        "world.run_everywhere(lambda: None)\n"
        "os._exit(0 if again else 9 * world.rank)\n"
    )
    command = torchrun(tmp_path / "script.py")
    command[-1:-1] = ["--max-restarts", "1"]
    found = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr


@pytest.mark.slow
def test_torchrun_restarts_and_resumes_a_run_that_lost_a_process(tmp_path):
    words = ["-m", "longtail", "train", "digits-lt", "ce", "--epochs", "40", "--eval-every", "0", "--resume"]
    command = torchrun(*words, "--out", tmp_path / "run")
    command[-len(words) - 2 : -len(words) - 2] = ["--max-restarts", "1"]
    with subprocess.Popen(command, env=environment(), stdout=-1, stderr=-1, text=True) as process:
        kill_a_rank(process, tmp_path / "run")
        error = process.communicate()[1]
    assert process.returncode == 0, error
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 41)] and rows[-1]["test_top1"]
    state = load_file(tmp_path / "run" / "model.safetensors")
    assert {value.item() for name, value in state.items() if name.endswith("num_batches_tracked")} == {40 * 8}


def test_a_device_or_number_of_threads_that_is_not_there_is_one_clear_line(monkeypatch):
    assert init_world(torch.device("cpu")).device == init_world("cpu").device
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cuda:2", "cuda:x", "cuda:-1"):
        with pytest.raises(LongtailError, match=f"device {device} is not there; torch sees 2 GPUs"):
            init_world(device)
    with pytest.raises(LongtailError, match="device is 'gpu'; it takes auto"):
        init_world("gpu")
    for threads in ("2", 0, True, 1.5):
        with pytest.raises(LongtailError, match="threads is"):
            init_world("cpu", threads)
