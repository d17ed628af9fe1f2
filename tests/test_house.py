"""The rules of the house: every module imports, imports point one way, files are short, README commands run."""

import ast
import importlib
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import longtail
from longtail.commands import app

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "longtail"

BUILT = "docs/how-it-is-built.md"
MAP = (ROOT / BUILT).read_text().partition("\nlongtail/\n")[2].partition("\nbenchmarks/")[0]
PLACE = {name: place for place, name in enumerate([*re.findall(r"(\w+)(?:/|\.py) ", MAP), "__main__"])}


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(longtail.__path__, "longtail.")]


@pytest.mark.parametrize("name", [m for m in modules() if not m.endswith("__main__")])
def test_every_module_imports(name):
    importlib.import_module(name)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "longtail":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("longtail.")}
    return found & PLACE.keys()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    assert own in PLACE, f"say in the map of {BUILT} where {own} stands"
    upward = {name for name in imports(path) if PLACE[name] > PLACE[own]}
    assert not upward, f"{own} imports {upward}, which the map of {BUILT} has below it"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 250


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_commands_import_the_libraries_of_the_command_line(path):
    if path.relative_to(PACKAGE).parts[0] != "commands":
        assert not re.search(r"^\s*(?:import|from) (?:rich|cyclopts)\b", path.read_text(), re.M)


def test_the_training_loop_fits_a_few_screens():
    assert len((PACKAGE / "trainer.py").read_text().splitlines()) <= 175


def commands(page: str) -> list[str]:
    """The `longtail ...` lines of a page's shell blocks, without what a trailing comment says they need."""
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", (ROOT / page).read_text(), re.S)
    return [line for block in blocks for line in block.splitlines() if re.match(r"(longtail|python -m) ", line)]


PAGES = (
    "README.md",
    "docs/index.md",
    "docs/commands.md",
    "docs/methods.md",
    "docs/reproduction.md",
)  # the other pages have tests of their own


def list_commands() -> list[str]:
    """The commands of the pages that need nothing, each once."""
    lines = [line for page in PAGES for line in commands(page) if "# needs" not in line and "# slow" not in line]
    return list(dict.fromkeys(line.partition("#")[0].strip() for line in lines))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the method and the data that the pages have."""
    out = tmp_path_factory.mktemp("trained") / "run"
    longtail.train("digits-lt", "ecl", out=out, epochs=2, threads=1)
    return out


@pytest.mark.parametrize("line", list_commands())
def test_every_readme_command_runs(line, trained, tmp_path, monkeypatch, capsys):
    words = shlex.split(line)
    if "train" in words and "--epochs" not in words:
        words += ["--epochs", "2"]
    monkeypatch.chdir(tmp_path)
    if "runs/" in line and "train" not in words:
        shutil.copytree(trained, next(w for w in words if w.startswith("runs/")))
    assert words[0] == "longtail"
    with pytest.raises(SystemExit) as stop:
        app.main(words[1:])
    assert not stop.value.code, capsys.readouterr().err


def test_the_python_of_the_readme_and_of_the_commands_runs(tmp_path):
    pages = [(ROOT / page).read_text() for page in ("README.md", "docs/commands.md")]
    (code,) = {block for page in pages for block in re.findall(r"```python\n(.*?)```", page, re.S)}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.returncode == 0 and (tmp_path / "runs" / "mine" / "results.json").exists(), found.stderr


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_of_a_page_leads_to_a_file(page):
    links = re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", (ROOT / page).read_text())
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_readme_fits_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120


def test_the_map_names_every_part_of_the_tree():
    for path in PACKAGE.iterdir():
        if not path.name.startswith("_") and path.suffix in ("", ".py"):
            assert path.name in MAP, f"{path.name} is missing from the map of {BUILT}"
