"""Help, listings, completion and errors of typing load no torch, and listings survive any console."""

import os
import subprocess
import sys

import pytest

PROBE = """
import sys
from longtail.__main__ import main
try:
    main()
finally:
    print("torch" in sys.modules, file=sys.stderr)
"""


def run_probe(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROBE, *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "--version",
        "methods",
        "methods ecl",
        "recipes",
        "recipes cifar",
        "train --help",
        "train digits-lt --help",
        "predict --help",
        "calibrate --help",
        "distill --help",
        "label --help",
        "suspects --help",
        "reproduce",
        "train cifar100-lt ncl --help",
        "train cifar100-lt --recipe=ncl-cifar --help",
    ],
)
def test_help_and_listings_load_no_torch(line):
    result = run_probe(*line.split())
    assert result.returncode == 0 and result.stdout
    assert result.stderr == "False\n"


def test_installing_completion_loads_no_torch(tmp_path):
    result = run_probe("--install-completion", "--shell", "bash", HOME=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    "line",
    [
        "trian digits-lt",
        "train",
        "train digit-lt",
        "train digits-lt elc",
        "train digits-lt ce bc",
        "train digits-lt --recipe cifr",
        "train digits-lt --alhpa 1",
        "train digits-lt ce --alpha 1",
        "train digits-lt --epochs ten",
        "train digits-lt --epochs 1.5",
        "train digits-lt --epochs 0",
        "train digits-lt --lr -1",
        "train digits-lt --imbalance 0.5",
        "train digits-lt --batch-size 1",
        "train digits-lt --kd-on cooked",
        "train digits-lt ecl --experts 0",
        "train digits-lt --select tops",
        "train digits-lt --seeds 0",
        "train digits-lt --size 0",
        "methods elc",
        "recipes cifr",
        "reproduce tabel3",
        "reproduce table3 --scale tiny",
        "predict RUN --tpo 3",
    ],
)
def test_errors_of_typing_load_no_torch(line):
    result = run_probe(*line.split())
    assert result.returncode == 2 and result.stdout == ""
    message, has_torch = result.stderr.splitlines()
    assert message.startswith("longtail: error: ") and has_torch == "False"


LISTINGS = ["--help", "methods", "methods ecl", "recipes", "recipes cifar", "train digits-lt ecl --help"]


@pytest.mark.parametrize("line", LISTINGS)
def test_a_console_of_40_columns_shows_listings_without_longer_lines(line):
    result = run_probe(*line.split(), COLUMNS="40")
    assert result.returncode == 0 and result.stderr == "False\n"
    assert max(map(len, result.stdout.splitlines())) <= 40


@pytest.mark.parametrize("line", LISTINGS)
def test_a_console_that_is_closed_early_breaks_no_listing(line):
    command = [sys.executable, "-m", "longtail", *line.split()]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as console:
        result = subprocess.run(command, stdout=console, stderr=subprocess.PIPE, text=True)
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="torch takes libgomp on Linux only")
@pytest.mark.parametrize(
    ("environment", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
    ids=["default", "spin count of the user", "policy of the user"],
)
def test_idle_threads_of_a_command_spin_shortly_unless_the_user_says_how(environment, spins, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    result = run_probe("evaluate", "/nowhere", OMP_DISPLAY_ENV="verbose", **environment)
    assert result.returncode == 2 and result.stderr.endswith("True\n")
    assert f"GOMP_SPINCOUNT = '{spins}'" in result.stderr
