"""A finished run is believed only when it is whole: bit flips, impossible fields, and runs without a manifest."""

import json
import logging
import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from longtail import LongtailError
from longtail.api import train
from longtail.runs.finished import FinishedRun, note_missing_manifest
from longtail.runs.folder import MANIFEST
from longtail.runs.results import LAST_WEIGHTS, SELECTED_WEIGHTS

JSON = ("results", "model", "split", "environment")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run with every file that a run can have."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    from PIL import Image

    for subset, sizes in {"train": (12, 8, 4), "test": (3, 3, 3)}.items():
        for name, size in zip("abc", sizes, strict=True):
            (folder / subset / name).mkdir(parents=True)
            for i in range(size):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / subset / name / f"{i}.png")
    out = tmp_path_factory.mktemp("runs") / "run"
    options = {"net": "conv4", "size": 8, "epochs": 2, "val_share": 0.25, "select": "balanced", "threads": 1}
    train(folder, "ecl", experts=2, out=out, device="cpu", **options)
    return out


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(finished, tmp_path / "run")


def read_all(path) -> dict:
    """Read everything that a finished run gives."""
    run = FinishedRun.open(path)
    names = (*JSON, "recipe", "classes", "metrics", "per_class")
    found = {name: getattr(run, name) for name in names}
    found |= {f"column {name}": column.tolist() for name, column in run.predictions.items()}
    for weights in (LAST_WEIGHTS, SELECTED_WEIGHTS):
        state = run.load_method(weights).inference_state()
        found |= {f"{weights} {name}": value.numpy().tobytes() for name, value in state.items()}
    return found


def test_a_flipped_bit_in_any_file_is_one_line_or_without_effect(finished, copied):
    expected, generator = read_all(finished), random.Random(0)
    names = sorted(file.name for file in copied.iterdir() if file.is_file())
    assert {*(f"{name}.json" for name in JSON), "recipe.json", LAST_WEIGHTS, SELECTED_WEIGHTS, MANIFEST} <= {*names}
    refused: dict[str, int] = dict.fromkeys(names, 0)
    tried = dict.fromkeys(names, 0)
    for number in range(300):
        file = copied / names[number % len(names)]
        tried[file.name] += 1
        content = file.read_bytes()
        damaged = bytearray(content)
        damaged[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        file.write_bytes(damaged)
        try:
            assert read_all(copied) == expected
        except LongtailError as error:
            assert file.name in str(error) or MANIFEST in str(error)
            assert "\n" not in str(error)
            refused[file.name] += 1
        file.write_bytes(content)
    free = {"checkpoint.pt", "report.html"}  # of which nothing is read here
    assert {name for name in names if not refused[name]} <= free, refused
    kept = json.loads((copied / MANIFEST).read_text())["sha256"]
    assert all(refused[name] == tried[name] for name in kept)


def test_a_truncated_or_missing_file_is_named(copied):
    for name in json.loads((copied / MANIFEST).read_text())["sha256"]:
        content = (copied / name).read_bytes()
        (copied / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(LongtailError, match=name.replace(".", r"\.")):
            read_all(copied)
        (copied / name).unlink()
        with pytest.raises(LongtailError):
            read_all(copied)
        (copied / name).write_bytes(content)
    read_all(copied)


def test_a_run_without_a_manifest_loads_with_one_note(copied, caplog):
    (copied / MANIFEST).unlink()
    note_missing_manifest.cache_clear()
    with caplog.at_level(logging.WARNING, "longtail"):
        read_all(copied)
        read_all(copied)
    (record,) = [record for record in caplog.records if record.name == "longtail"]
    assert f"{copied} has no {MANIFEST}" in record.getMessage()


def change(copied, name: str, **values) -> None:
    """Change fields of a JSON file of a run, which loses its manifest."""
    (copied / MANIFEST).unlink(missing_ok=True)
    content = json.loads((copied / name).read_text())
    (copied / name).write_text(json.dumps(content | values))


def test_weights_of_another_run_are_refused_by_the_hash_in_the_model(copied):
    state = load_file(copied / LAST_WEIGHTS)
    save_file(
        {name: value + 1 if value.is_floating_point() else value for name, value in state.items()},
        copied / LAST_WEIGHTS,
    )
    (copied / MANIFEST).unlink()
    with pytest.raises(LongtailError, match=r"does not have the sha256 that model\.json holds"):
        FinishedRun.open(copied).load_method()


MODELS = [
    *({"train_counts": counts} for counts in ([0, 0, 0], [9, 6, -1], [9, 6, 10**400], [9, 6, 3.0], [9, 6, True])),
    *({"train_counts": counts} for counts in ([9, 6, float("nan")], [9, 6], 3, None, [9, 6, "3"], [9, 6, 10**15])),
    *({"classes": names} for names in (["a", "a", "b"], ["a", "b"], ["b", "a", "c"], [1, 2, 3], "abc", None)),
    {"method": "ce"},
    {"net": "resnet8"},
    {"precision": "bf16"},
    {"options": {"experts": 3}},
    {"transform": {"size": [16, 16]}},
    {"transform": {"mean": [0.0, 0.0, 0.0]}},
    {"transform": 3},
]


@pytest.mark.parametrize("values", MODELS, ids=str)
def test_a_model_that_does_not_fit_is_refused_before_a_network_is_built(copied, values, monkeypatch):
    from longtail.recipe import Recipe

    change(copied, "model.json", **values)
    monkeypatch.setattr(Recipe, "build_method", lambda *_: pytest.fail("a network is built"))
    with pytest.raises(LongtailError, match=r"model\.json") as refused:
        FinishedRun.open(copied).load_method()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_ten_million_classes_are_refused_before_a_network_is_built(copied, monkeypatch):
    from longtail.recipe import Recipe

    classes = {"classes": [str(c) for c in range(10**6)], "train_counts": [1] * 10**6}
    for name in ("model.json", "split.json"):
        change(copied, name, **classes)
    monkeypatch.setattr(Recipe, "build_method", lambda *_: pytest.fail("a network is built"))
    with pytest.raises(LongtailError, match="too few weights for the 1000000 classes"):
        FinishedRun.open(copied).load_method()


FIELDS = {
    "results.json": [{"plain": None}, {"plain": {}}, {"flip": []}, {"epochs": "2"}, {"seed": 9}, {"method": 3},
                     {"data": None}, {"selected": 3}, {"selected": {"by": "x"}}],
    "split.json": [{"train_images": "many"}, {"test_images": -1}, {"image_shape": 3}, {"image_shape": [1, "a", 2]},
                   {"train_sha256": 3}, {"test_sha256": None}, {"classes": 3}, {"train_counts": [0, 0, 0]}],
    "environment.json": [{"root": 3}],
}  # fmt: skip


@pytest.mark.parametrize("name, values", [(name, v) for name, changes in FIELDS.items() for v in changes], ids=str)
def test_a_malformed_field_is_one_line_that_names_the_file(copied, name, values):
    change(copied, name, **values)
    with pytest.raises(LongtailError, match=rf"run/{name}") as refused:
        read_all(copied)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", ["50", float("nan"), float("inf"), -3, 101, 10**400, True, [], {}])
def test_a_metric_that_is_no_percentage_is_refused(copied, value):
    results = json.loads((copied / "results.json").read_text())
    results["plain"]["experts"][1]["few"] = value
    change(copied, "results.json", **results)
    with pytest.raises(LongtailError, match=r"results\.json .*few of plain is no percentage"):
        read_all(copied)


@pytest.mark.parametrize("name, row", [("metrics.csv", 1), ("metrics.csv", -1), ("per_class.csv", 1)])
def test_a_table_that_lacks_a_row_is_refused(copied, name, row):
    (copied / MANIFEST).unlink()
    lines = (copied / name).read_text().splitlines(keepends=True)
    lines[row] = "" if row == 1 else lines[row].replace(",", ",nan,", 1)
    (copied / name).write_text("".join(lines))
    with pytest.raises(LongtailError, match=name):
        read_all(copied)


def test_predictions_of_another_number_of_images_are_refused_before_they_are_read(copied, monkeypatch):
    import pyarrow.parquet as pq

    change(copied, "split.json", test_images=10**8)
    monkeypatch.setattr(pq, "read_table", lambda *_: pytest.fail("the table is read"))
    with pytest.raises(LongtailError, match=r"predictions\.parquet .*9 rows for 100000000 test images"):
        _ = FinishedRun.open(copied).predictions


def test_the_method_that_is_loaded_gives_finite_logits(finished):
    method = FinishedRun.open(finished).load_method()
    assert method.logits(torch.zeros(1, 3, 8, 8)).isfinite().all()
