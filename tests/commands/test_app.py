"""The command line as a user types it: results, errors on one line, and stopped runs."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch

from longtail import LongtailError
from longtail.commands import app
from longtail.runs.folder import RunFolder


def run(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        app.main(list(words))
    return stop.value.code


@pytest.mark.parametrize(
    "failure", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_too_little_memory_is_one_line(failure, monkeypatch, capsys):
    def fail(*_):
        raise failure

    monkeypatch.setattr(app, "build_app", fail)
    assert run("methods") == 2
    error = capsys.readouterr().err
    assert error.startswith("longtail: error: out of memory") and error.count("\n") == 1
    monkeypatch.setattr(app, "build_app", lambda tokens: lambda *_, **__: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        app.main(["methods"])


def test_a_rank_without_other_processes_silences_nothing(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    assert run("train", "nope") == 2 and "unknown data 'nope'" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "")
    monkeypatch.setenv("WORLD_SIZE", "")
    assert run("recipes") == 0


def test_an_option_with_the_name_of_a_flag_is_one_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "taken.py").write_text(
        "from typing import Annotated\n"
        "from longtail.methods import Classifier\n"
        "class Taken(Classifier):\n"
        "    def __init__(self, counts, net, lr: Annotated[float, 'rate'] = 0.1):\n"
        "        super().__init__(counts, net)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run("train", "digits-lt", "taken:Taken") == 2
    assert "option lr of taken:Taken has the name of a flag of longtail train" in capsys.readouterr().err


LONG = "a" * 300
BAD = {
    "unknown data, the nearest offered": ("train digit-lt", "did you mean 'digits-lt'"),
    "unknown method, the nearest offered": ("train digits-lt elc", "did you mean 'ecl'"),
    "unknown recipe, the nearest offered": ("train digits-lt --recipe cifr", "did you mean 'cifar'"),
    "unknown net, the nearest offered": ("train digits-lt --net resnet33", "did you mean 'resnet32'"),
    "unknown flag of many, the nearest offered": (
        "train digits-lt ecl --alhpa 1",
        "did you mean '--alpha'? `longtail train --help` lists all flags",
    ),
    "unknown flag of few, the known ones listed": ("cache --all", "Known: --cache, --clear"),
    "unknown flag before a method that is left out": ("train digits-lt --epoch 5 --out x", "did you mean '--epochs'"),
    "option of methods for a command without one": ("cache --alpha 2", "unknown flag '--alpha'"),
    "flag of another method": ("train digits-lt ce --alpha 1", "--alpha is an option of lade"),
    "unknown command, the nearest offered": ("trian digits-lt", "did you mean 'train'"),
    "no data": ("train", "DATA"),
    "too many arguments": ("train digits-lt ce bc", "bc"),
    "text for a number": ("train digits-lt --epochs ten", "--epochs"),
    "zero epochs": ("train digits-lt --epochs 0", "epochs is 0; it must be at least 1"),
    "fractional epochs": ("train digits-lt --epochs 1.5", "--epochs"),
    "fractional threads": ("train digits-lt --threads 1.5", "--threads"),
    "fractional threads of evaluate": ("evaluate run --threads 1.5", "--threads"),
    "fractional seeds of a table": ("reproduce methods --seeds 1.5", "--seeds"),
    "learning rate beyond float32": ("train digits-lt --lr 4e38", "lr"),
    "seed beyond numpy's": ("suspects run --seed 5000000000", "seed is 5000000000; it must be at most 4294967295"),
    "negative learning rate": ("train digits-lt --lr -1", "--lr is -1.0; it must be above 0"),
    "learning rate that is not a number": ("train digits-lt --lr nan", "lr"),
    "infinite learning rate": ("train digits-lt --lr inf", "lr"),
    "imbalance below one": ("train digits-lt --imbalance 0.5", "imbalance is 0.5; it must be at least 1"),
    "batch larger than the data": ("train digits-lt --batch-size 288", "287 training images"),
    "batch of one": ("train digits-lt --batch-size 1", "--batch-size is 1; it must be at least 2"),
    "negative seed": ("train digits-lt --seed -1", "seed"),
    "momentum of one": ("train digits-lt --momentum 1", "momentum"),
    "views of another size": ("train digits-lt ecl --recipe cifar", "digits-lt has images of 8 x 8"),
    "more threads than cores": ("train digits-lt --threads 100000", "threads is 100000"),
    "zero seeds": ("train digits-lt --seeds 0", "seeds is 0"),
    "infinite weight decay": ("train digits-lt --weight-decay inf", "it must be finite"),
    "zero experts": ("train digits-lt ecl --experts 0", "experts of ecl is 0; it must be at least 1"),
    "option outside its choices": ("train digits-lt ecl --kd-on cooked", "raw"),
    "milestones beyond the end": ("train digits-lt --milestones 2", "milestones are (2.0,)"),
    "an unknown schedule": ("train digits-lt --schedule linear", "steps"),
    "no GPU here": ("train digits-lt --device cuda:9", "GPU"),
    "unknown device": ("train digits-lt --device tpu", "device"),
    "missing root": ("train cifar10-lt --root /nowhere/at/all", "/nowhere/at/all is not a folder"),
    "root for data that has none": ("train digits-lt --root /tmp", "--root"),
    "unwritable folder": ("train digits-lt --out /proc/here/run", "/proc/here/run"),
    "evaluating a missing run": ("evaluate /nowhere", "there is no folder /nowhere"),
    "an unknown figure, the nearest offered": ("figure reliabilty RUN", "did you mean 'reliability'"),
    "a figure without a run": ("figure tau", "longtail figure tau RUN"),
    "a figure of a missing run": ("figure tau /nowhere", "there is no folder /nowhere"),
    "options of an unknown method": ("methods elc", "did you mean 'ecl'"),
    "an unknown recipe shown": ("recipes cifr", "did you mean 'cifar'"),
    "milestones without steps": ("train digits-lt --milestones 0.5", "milestones are of schedule steps"),
    "seeds with workers": (
        "train digits-lt --seeds 2 --device cpu --workers 1",
        "--workers is 1; of several seeds each process decodes its own images",
    ),
    "seeds with a negative number of workers": (
        "train digits-lt --seeds 2 --device cpu --workers -1",
        "--workers is -1",
    ),
    "a known set inspected with a test list": ("inspect digits-lt --test X", "leave --test out"),
    "custom data inspected with an imbalance": ("inspect ./X --imbalance 10", "leave --imbalance out"),
    "all tables with flags of one": (
        "reproduce all --show --format csv --seeds 1 --scale smoke",
        "does not take --scale and --seeds and --format",
    ),
    "a run in the home of an unknown user": ("evaluate ~nosuch/x", "~nosuch/x begins with the home of an unknown user"),
    "a new run in the home of an unknown user": ("train digits-lt --out ~nosuch/x", "the home of an unknown user"),
    "data in the home of an unknown user": ("train ~nosuch/x", "the home of an unknown user"),
    "a run of too long a name": (f"evaluate {LONG}", "aaa... cannot be a path: file name too long"),
    "data of too long a name": (f"inspect ./{LONG}", "file name too long"),
    "a page of too long a name": (f"inspect digits-lt --out {LONG}", "file name too long"),
    "a new run of too long a name": (f"train digits-lt --out {LONG}", "File name too long; choose another --out"),
    "a new run of a name that is not UTF-8": ("train digits-lt --out r\udce9", "r\\udce9 is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line_and_exit_code_2(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line, message = BAD[case]
    assert run(*line.split()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error and "Traceback" not in error
    assert not list(tmp_path.rglob("*.json"))  # no run was begun


def test_train_ends_with_the_table_and_the_paths_and_evaluate_prints_the_same_numbers(capsys, tmp_path):
    out = tmp_path / "run"
    assert run("train", "digits-lt", "ecl", "--epochs", "2", "--no-cpt", "--out", str(out)) == 0
    text = capsys.readouterr().out
    assert "3 experts" in text and "few" in text and str(out / "results.json") in text
    recipe = json.loads((out / "recipe.json").read_text())
    assert recipe["options"]["cpt"] is False and recipe["epochs"] == 2
    assert run("evaluate", str(out)) == 0
    table = capsys.readouterr().out
    assert [line for line in text.splitlines() if "expert" in line] == [
        line for line in table.splitlines() if "expert" in line
    ]


def test_an_existing_run_is_left_alone(capsys, tmp_path):
    (tmp_path / "notes").write_text("mine")
    assert run("train", "digits-lt", "--out", str(tmp_path)) == 2
    assert "exists already" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["notes"]


def test_listings_show_every_method_recipe_and_option(capsys):
    assert run("methods") == 0 and run("recipes") == 0 and run("methods", "ecl") == 0 and run("recipes", "cifar") == 0
    text = capsys.readouterr().out
    for word in ("ecl", "bc", "digits", "cifar", "--alpha", "0.6", "weight_decay", "0.005"):
        assert word in text


def test_the_choices_of_an_option_are_shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run("methods", "ecl") == 0 and "z, or z + tau log prior: raw or balanced" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["", "train", "evaluate", "figure", "methods", "recipes"])
def test_help_is_there_for_every_command(command, capsys):
    assert run(*command.split(), "--help") == 0
    assert "Usage" in capsys.readouterr().out


def test_a_recipe_is_shown_with_the_method_that_it_takes(capsys):
    assert run("recipes", "frozen") == 0
    rows = {
        row.split()[1]: row.split()[3]
        for row in capsys.readouterr().out.splitlines()
        if row.startswith("│ ") and len(row.split()) > 4
    }
    assert rows["method"] == "logit_adjustment" and (rows["lr"], rows["neck"]) == ("0.05", "0")


def test_only_commands_that_train_are_told_how_to_go_on(capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "run_command", stop)
    for words, advice in (("inspect x", ""), ("reproduce fig7", "the same command goes on"), ("distill x", "--resume")):
        assert run(*words.split()) == 130
        error = capsys.readouterr().err
        assert advice in error and ("finished epochs" in error) == bool(advice)


def test_the_installed_command_runs_without_a_traceback():
    result = subprocess.run([sys.executable, "-m", "longtail", "train", "nothing"], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith("longtail: error: unknown data 'nothing'")


@pytest.mark.parametrize("stop, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on_and_does(stop, code, tmp_path):
    words = [sys.executable, "-m", "longtail", "train", "digits-lt", "ce", "--epochs", "400", "--out", tmp_path / "run"]
    with subprocess.Popen(words, stderr=-1, stdout=-1, text=True) as process:
        while not (tmp_path / "run" / "checkpoint.pt").exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(stop)
        error = process.communicate()[1]
    assert process.returncode == code, error
    assert error.startswith("longtail: interrupted") and "--resume" in error
    assert "Traceback" not in error and not list((tmp_path / "run").glob(".*"))
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["epoch"] > 0


def test_a_stop_inside_a_fork_is_not_lost(tmp_path):
    script = tmp_path / "stopped.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "import longtail.commands.app as app\n"
        "def run_command(*_):\n"
        "    os.register_at_fork(before=lambda: signal.raise_signal(getattr(signal, sys.argv[1])))\n"
        "    if not os.fork():\n"
        "        os._exit(0)\n"
        "    time.sleep(60)\n"
        "app.run_command = run_command\n"
        "app.main(['inspect', 'x'])\n"
    )
    for name, code in (("SIGINT", 130), ("SIGTERM", 143)):
        result = subprocess.run([sys.executable, script, name], capture_output=True, text=True)
        assert result.returncode == code and result.stderr.startswith("longtail: interrupted"), result.stderr


def test_seeds_do_not_outlive_a_killed_parent(tmp_path):
    words = [sys.executable, "-m", "longtail", "train", "digits-lt", "ce", "--epochs", "100000", "--eval-every", "0"]
    with subprocess.Popen([*words, "--seeds", "2", "--out", tmp_path / "run"], stderr=-1, stdout=-1) as process:
        folder = tmp_path / "run" / "seed0"
        while not (folder / "checkpoint.pt").exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()
    for _ in range(300):
        try:
            with RunFolder(folder).locked():
                return
        except LongtailError:
            time.sleep(0.1)
    pytest.fail("the process of seed 0 is still training")
