"""The commit of this code: named from a clone, and never that of another project."""

import shutil
import subprocess
import sys
from pathlib import Path

from longtail import __version__

ROOT = Path(__file__).resolve().parents[1]


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def show_version(folder: Path) -> str:
    """Run `longtail --version` with the package of this folder."""
    command = [sys.executable, "-m", "longtail", "--version"]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(folder)}
    ).stdout.strip()


def copy_package(folder: Path) -> None:
    shutil.copytree(ROOT / "longtail", folder / "longtail", ignore=shutil.ignore_patterns("__pycache__"))


def test_version_names_the_commit_of_a_clone_and_says_that_files_were_changed(tmp_path):
    copy_package(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "longtail/__init__.py", "longtail/errors.py")
    git(tmp_path, "commit", "-qm", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert show_version(tmp_path) == f"{__version__}, commit {head}"
    with (tmp_path / "longtail" / "errors.py").open("a") as file:
        file.write("# changed\n")
    assert show_version(tmp_path) == f"{__version__}, commit {head}-changed"


def test_version_names_no_commit_of_a_project_that_the_package_is_installed_in(tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "of another project")
    copy_package(tmp_path)
    assert show_version(tmp_path) == __version__
