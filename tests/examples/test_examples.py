"""Every example runs to its end as it stands, and its output holds what its first lines promise."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import longtail
from longtail.augment import get_transform_set
from longtail.data.eval_transform import build_eval_transform
from longtail.runs.results import describe_transform
from tests.data.pictures import colored_photos

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *words: str, folder: Path, before: str = "pass") -> str:
    """Run an example in a process of its own, after a line of Python, and return what it prints."""
    code = f"{before}; import runpy, sys; sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(EXAMPLES / name), *words]
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_opens_with_command_time_and_expected_result(path):
    opening = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert re.search(r"^Run: .*?\n.*^Time: .*?\d.*^Expected: .*\d", opening, re.M | re.S), opening
    assert path.name in opening and len(path.read_text().splitlines()) <= 100


def test_ecl_in_a_loop_of_your_own_uses_losses_and_nets_alone_and_learns_rare_digits(tmp_path):
    source = (EXAMPLES / "ecl_in_your_own_loop.py").read_text()
    parts = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert {part for part in parts if part.startswith("longtail")} == {"longtail.losses", "longtail.nets"}
    lines = run("ecl_in_your_own_loop.py", folder=tmp_path).splitlines()
    accuracy = dict(re.findall(r"^(.*?) +([\d.]+)% of", "\n".join(lines), re.M))
    assert float(accuracy["all digits"]) > 70 and float(accuracy["digits 7 to 9"]) > 30, lines


def test_scikit_learn_and_heads_are_compared_on_the_same_features(tmp_path):
    scores = dict(line.rsplit(maxsplit=1) for line in run("features_sklearn.py", folder=tmp_path).splitlines())
    assert set(scores) == {"logistic regression", "logit_adjustment", "bc", "ecl"}
    assert min(map(float, scores.values())) > 70


def test_photographs_are_trained_on_and_new_ones_predicted(tmp_path):
    folder = colored_photos(tmp_path / "photos", (12, 8, 3), (3, 3, 3))
    printed = run("photographs.py", str(folder), str(folder / "test" / "class1" / "0.png"), folder=tmp_path)
    assert "class2 has 3 training images" in printed and "0.png: class1 " in printed
    assert (tmp_path / "runs" / "photographs" / "report.html").exists()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, longtail.Model]:
    """A model of the digits, exported as ONNX, beside one test image of 90 x 60 pixels."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported")
    model = longtail.train("digits-lt", "bc", out=folder / "run", epochs=5)
    model.export("onnx")
    pixels = longtail.data.load_split("digits-lt", 50.0).test.images[3].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).resize((90, 60)).save(folder / "one.png")
    return folder, model


def test_an_exported_model_predicts_without_torch_as_the_package_does(exported):
    folder, model = exported
    blocked = "import sys; sys.modules.update(torch=None, longtail=None)"  # an import of either fails
    printed = run("onnx_inference.py", "run/export.onnx", "one.png", folder=folder, before=blocked)
    expected = model.predict(folder / "one.png", top=3)
    values = ", ".join(f"{c} {p:.3f}" for c, p in zip(expected.classes, expected.probabilities, strict=True))
    assert printed == f"one.png: {values}\n"


@pytest.mark.parametrize(
    "views, fit", [("custom-32", "cut"), ("custom-32", "pad"), ("custom-32", "squeeze"), ("imagenet-32", "cut")]
)
@pytest.mark.parametrize("size", [(90, 60), (61, 97), (20, 31)])
def test_the_squares_of_the_onnx_example_are_those_of_evaluation(views, fit, size):
    make_square = runpy.run_path(str(EXAMPLES / "onnx_inference.py"))["make_square"]
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    transform_set = replace(get_transform_set(views), fit=fit)
    expected = build_eval_transform(transform_set).transform(Image.fromarray(pixels))
    found = make_square(Image.fromarray(pixels), json.loads(json.dumps(describe_transform(transform_set))))
    assert np.array_equal(np.asarray(found), expected)


def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cells = json.loads((EXAMPLES / "first_steps.ipynb").read_text())["cells"]
    names: dict = {}
    for cell in cells:
        assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    printed = capsys.readouterr().out
    assert re.search(r"^ce \{.*\n.*bc \{.*", printed, re.M) and float(re.search(r"([\d.]+)% of all", printed)[1]) > 90
