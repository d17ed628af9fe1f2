"""Packages: the wheel of longtail holds all it needs, and a method of another package is found, trained and loaded."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def build_wheel(source: Path, folder: Path) -> Path:
    """Build a wheel of a source folder, which stays as it is, without network."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    copy = folder / f"{source.name}-source"

    def ignore(inside: str, names: list[str]) -> set[str]:
        heavy = {".venv", ".git", "runs", "results", "build"} if Path(inside) == source else {"__pycache__"}
        return heavy | {name for name in names if name.endswith(".egg-info")}

    shutil.copytree(source, copy, ignore=ignore)
    subprocess.run([*command, str(copy)], check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> dict[str, str]:
    """Install a wheel into a folder; returns the environment in which Python finds it first."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}


def run(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", *words]
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_wheel_holds_every_module_and_file_and_runs_outside_the_clone(tmp_path):
    wheel = build_wheel(ROOT, tmp_path)
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("longtail/")}
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files", "longtail"], check=True, capture_output=True, text=True)
    assert inside == set(tracked.stdout.split())
    environment = install(wheel, tmp_path / "site")
    where = "import longtail, longtail.data; print(longtail.__file__, longtail.data.exponential_counts(2, 10, 10))"
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.split(" ", 1) == [f"{tmp_path}/site/longtail/__init__.py", "[10, 1]\n"], found.stderr
    assert "ecl" in run(["longtail", "methods"], tmp_path, environment)


def test_the_source_distribution_holds_every_file_of_the_repository(tmp_path):
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True, capture_output=True)
    command = [sys.executable, "-c", "from setuptools.build_meta import build_sdist; print(build_sdist('..'))"]
    found = subprocess.run(command, cwd=tmp_path / "clone", check=True, capture_output=True, text=True)
    with tarfile.open(tmp_path / found.stdout.split()[-1]) as archive:
        inside = {member.name.partition("/")[2] for member in archive.getmembers()}
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], check=True, capture_output=True, text=True).stdout
    assert {path for path in tracked.split() if not path.startswith(".")} <= inside


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The example plug-in, built and installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    return folder, install(build_wheel(ROOT / "examples" / "custom_method", folder), folder / "site")


def test_a_method_of_another_package_is_listed_trained_predicted_with_and_kept_in_the_run(plugin):
    folder, environment = plugin
    assert "package longtail-tempered 0.1.0" in run(["longtail", "methods"], folder, environment)
    assert "--power" in run(["longtail", "methods", "tempered"], folder, environment)
    words = ["longtail", "train", "digits-lt", "tempered", "--power", "0.3", "--epochs", "1", "--out", "run"]
    run(words, folder, environment)
    kept = json.loads((folder / "run" / "environment.json").read_text())
    assert kept["method_package"] == {"name": "longtail-tempered", "version": "0.1.0"}
    assert json.loads((folder / "run" / "recipe.json").read_text())["options"] == {"power": 0.3}
    assert (folder / "run" / "report.html").exists()
    assert "single" in run(["longtail", "evaluate", "run"], folder, environment)


def test_a_run_whose_package_is_gone_says_so_in_one_line(plugin):
    folder, environment = plugin
    run(["longtail", "train", "digits-lt", "tempered", "--epochs", "1", "--out", "gone"], folder, environment)
    without = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "longtail", "evaluate", "gone"]
    found = subprocess.run(command, cwd=folder, env=without, capture_output=True, text=True)
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert "unknown method 'tempered'" in found.stderr and "longtail-tempered 0.1.0" in found.stderr


def test_the_plugin_passes_its_own_tests(plugin):
    folder, environment = plugin
    run(["pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "examples" / "custom_method")], folder, environment)
