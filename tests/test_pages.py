"""The commands and the code of the documentation pages run in their order; cluster examples run `longtail train`."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from longtail.commands import app
from longtail.data import load_split
from tests.data.pictures import colored_photos
from tests.test_house import PAGES

ROOT = Path(__file__).resolve().parents[1]


def read_commands(page: str) -> list[list[str]]:
    """Read the words of every command of a page that has no comment `# needs`."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.S)
    lines = [line for block in blocks for line in block.splitlines() if "# needs" not in line]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Write the images, the list and the prior that docs/use.md names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name, image in zip(("one", "two"), load_split("digits-lt", 50.0).test.images, strict=False):
        Image.fromarray(image.permute(1, 2, 0).numpy()).resize((90, 60)).save(tmp_path / "photos" / f"{name}.png")
    Image.open("photos/one.png").save("one.png")
    (tmp_path / "list.txt").write_text("photos/two.png 7\n")
    (tmp_path / "prior.csv").write_text("class,count\n" + "".join(f"{digit},{digit}\n" for digit in range(10)))
    return tmp_path


def test_the_commands_of_use_run(photos, capsys):
    for words in read_commands("docs/use.md"):
        assert words[0] == "longtail"
        with pytest.raises(SystemExit) as stop:
            app.main(words[1:])
        assert stop.value.code == 0, (words, capsys.readouterr().err)
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/use.md").read_text(), re.S)[1]
    exec(code, {})
    assert len((photos / "found.csv").read_text().splitlines()) == 5


def test_the_commands_of_your_photographs_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    colored_photos(tmp_path / "photos", (12, 8, 3), (3, 3, 3))
    colored_photos(tmp_path, (2, 2, 2), (1, 1, 1))
    (tmp_path / "train").rename("new")
    for words in read_commands("docs/photographs.md"):
        with pytest.raises(SystemExit) as stop:
            app.main(words[1:])
        assert stop.value.code == 0, (words, capsys.readouterr().err)
    assert len((tmp_path / "found.csv").read_text().splitlines()) == 7
    assert all((tmp_path / page).exists() for page in ("inspect-photos.html", "found.html", "runs/photos/report.html"))


def test_a_method_is_written_checked_and_trained_as_the_page_shows(tmp_path):
    text = (ROOT / "docs/write-a-method.md").read_text()
    method, use, _ = re.findall(r"```python\n(.*?)```", text, re.S)
    (tmp_path / "my_methods.py").write_text(method)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}.", "OMP_NUM_THREADS": "1"}
    export, *commands = read_commands("docs/write-a-method.md")
    assert export == ["export", "PYTHONPATH=."]
    for command in (["-c", use], *(["-m", *words] for words in commands)):
        process = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert process.returncode == 0, (command, process.stderr)
    assert len(list(tmp_path.glob("runs/*/results.json"))) == 2


def test_the_losses_of_your_own_loop_run_as_printed():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/own-loop.md").read_text(), re.S)
    names: dict = {}
    for block in blocks:
        exec(block, names)
    assert names["logits"].grad.abs().sum() > 0 and names["adjusted"].shape == (8, 3)


def test_every_page_with_commands_is_run_by_a_test():
    runs = {Path(page).name for page in PAGES} | {"custom-data.md"}  # of test_house and test_custom_data; here:
    runs |= {"use.md", "many-machines.md", "photographs.md", "write-a-method.md"}
    runs |= {"decisions.md", "after-training.md", "hub.md"}
    assert {path.name for path in (ROOT / "docs").glob("*.md") if read_commands(f"docs/{path.name}")} <= runs


def test_the_commands_of_decisions_run(photos, capsys):
    test = load_split("digits-lt", 50.0).test
    for row, label in enumerate(test.labels.tolist()):
        folder = photos / "labeled" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.images[row].permute(1, 2, 0).numpy()).save(folder / f"{row}.png")
    kinds = ["even" if digit % 2 == 0 else "odd" for digit in range(10)]
    rows = "".join(f"{digit},{kind}\n" for digit, kind in enumerate(kinds))
    (photos / "superclasses.csv").write_text("class,parent\n" + rows)
    for words in read_commands("docs/decisions.md"):
        assert words[0] == "longtail"
        with pytest.raises(SystemExit) as stop:
            app.main(words[1:])
        assert stop.value.code == 0, (words, capsys.readouterr().err)
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/decisions.md").read_text(), re.S)[1]
    exec(code, {})
    assert "set_size" in (photos / "sets.csv").read_text()


def test_the_commands_of_after_training_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool").mkdir()
    for i, image in enumerate(load_split("digits-lt", 50.0).test.images[:40:5]):
        Image.fromarray(image.flip(-1).permute(1, 2, 0).numpy()).save(tmp_path / "pool" / f"{i}.png")
    for words in read_commands("docs/after-training.md"):
        assert words[0] == "longtail"
        short = ["--epochs", "1"] if words[1] in ("train", "distill") and "--epochs" not in words else []
        with pytest.raises(SystemExit) as stop:
            app.main([*words[1:], *short])
        assert stop.value.code == 0, (words, capsys.readouterr().err)
    tables = {name: (tmp_path / f"{name}.csv").read_text().splitlines() for name in ("next", "faults")}
    assert len(tables["next"]) == 4 and len(tables["faults"]) == 288


def add_pets(hub) -> None:
    """Add the data sets that docs/hub.md names: three classes of colored squares."""
    from tests.data.test_hub import make_shard

    files = {"data/train-0.parquet": make_shard([0] * 12 + [1] * 6 + [2] * 4)}
    hub.add("me/pets-test", {"test.parquet": make_shard([0, 0, 1, 1, 2, 2], first=60)})
    card = """---
configs:
- config_name: default
  default: true
  data_files: [{split: train, path: data/train-*}, {split: test, path: data/test-*}]
- config_name: small
  data_files: data/train-*
---
"""
    files |= {"data/test-0.parquet": make_shard([0, 1, 2], first=50), "README.md": card.encode()}
    hub.add("me/pets", files)


def test_the_commands_of_hub_run(photos, hub, capsys, monkeypatch):
    from http.server import ThreadingHTTPServer

    from longtail.inspection import suggestions
    from tests.hub_server import TOKEN

    def interrupt(server: ThreadingHTTPServer) -> None:
        if type(server).__name__ == "TryServer":
            raise KeyboardInterrupt
        serve(server)

    add_pets(hub)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(suggestions, "measure_suggestions", lambda commands, facts: [])  # it takes many seconds
    monkeypatch.setattr(
        "longtail.tryout.neighbors.Neighbors.start", lambda self: None
    )  # its thread may outlive the server
    serve = ThreadingHTTPServer.serve_forever
    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", interrupt)
    for words in read_commands("docs/hub.md"):
        assert words[0] == "longtail"
        with pytest.raises(SystemExit) as stop:
            app.main(words[1:])
        assert stop.value.code == 0, (words, capsys.readouterr().err)
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/hub.md").read_text(), re.S)[1]
    exec(code, {})
    assert len((photos / "found.csv").read_text().splitlines()) == 3
    assert hub.repositories["models/me/pets-private"].private


@pytest.mark.slow
def test_the_commands_of_many_machines_run(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    starts = {"longtail": ["-m", "longtail"], "torchrun": ["-m", "torch.distributed.run", "--standalone"]}
    for words in read_commands("docs/many-machines.md"):
        command = [sys.executable, *starts[words[0]], *words[1:]]
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert process.returncode == 0, (words, process.stderr)
    assert len(list(tmp_path.glob("runs/*/results.json"))) == 4


@pytest.mark.parametrize("name", ["slurm.sh", "sky.yaml"])
def test_a_cluster_example_ends_in_longtail_train(name):
    text = (ROOT / "examples" / name).read_text().replace("\\\n", " ")
    (line,) = re.findall(r"torchrun .*-m longtail (.*)", text)
    assert "--max-restarts" in text and "--resume" in line
    words = shlex.split(line)
    _, bound, _ = app.build_app(words).parse_args(words, exit_on_error=False, print_error=False)
    assert bound.args == ("cifar100-lt", "ecl") or bound.arguments["data"] == "cifar100-lt"


def test_the_slurm_example_is_a_valid_script():
    assert subprocess.run(["bash", "-n", ROOT / "examples" / "slurm.sh"]).returncode == 0
