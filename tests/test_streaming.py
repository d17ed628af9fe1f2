"""Runs whose images stay in files, with networks of timm: they keep the contract of every run."""

import csv
import json
import shutil
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.data import ReadOptions, load_split
from longtail.distributed import SINGLE_PROCESS, World
from longtail.evaluate import compute_features, compute_logits, read_inputs
from longtail.launch import train
from longtail.nets import Net
from longtail.recipes import recipe_for
from longtail.stages import build_loader
from longtail.tracking import SilentReport
from tests.dying import KillAt, Killed

OPTIONS = {"net": "test_resnet", "views": "imagenet-32", "experts": 2, "epochs": 2, "batch_size": 10, "eval_every": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 training and 9 test JPEGs in three classes that differ by color."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for subset, counts in (("train", (12, 7, 5)), ("test", (3, 3, 3))):
        for label, count in enumerate(counts):
            folder = root / subset / f"class {label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 60, (60, 80, 3), np.uint8)
                pixels[..., label] += 150
                Image.fromarray(pixels).save(folder / f"{i}.jpg")
    return root


def streamed(folder):
    """Load the folder's images as files."""
    return load_split(str(folder), None, None, ReadOptions(workers=0))


class TitleReport(SilentReport):
    """A report that keeps the title of the run."""

    def __init__(self):
        self.title = ""

    def begin(self, seed, title, epochs, steps):
        self.title = title


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """Train a streamed run of ECL; returns its folder and its title."""
    out, report = tmp_path_factory.mktemp("runs") / "first", TitleReport()
    train(recipe_for(str(folder), "scratch", **OPTIONS), out, report, workers=0)
    return out, report.title


def test_a_streamed_run_names_itself_so_and_writes_the_files_of_every_run(finished):
    out, title = finished
    first, chosen = title.splitlines()
    assert first.endswith("fp32; streamed from files by 0 workers") and "horizontal flips on" in chosen
    assert json.loads((out / "model.json").read_text())["transform"] == {
        "size": [32, 32],
        "resize": 37,
        "fit": "cut",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "views": "imagenet-32",
    }
    assert (out / "results.json").exists() and (out / "predictions.parquet").exists()


def test_a_streamed_run_is_the_same_with_workers_and_after_a_kill(finished, folder, tmp_path):
    out, recipe = tmp_path / "run", recipe_for(str(folder), "scratch", **OPTIONS)
    with pytest.raises(Killed):
        train(recipe, out, KillAt(2), workers=1)
    train(recipe, out, SilentReport(), workers=0, resume=True)
    assert (out / "results.json").read_text() == (finished[0] / "results.json").read_text()
    first, again = (load_file(run / "model.safetensors") for run in (finished[0], out))
    assert first.keys() == again.keys() and all(torch.equal(first[k], again[k]) for k in first)


def test_a_streamed_run_is_loaded_and_evaluated_again_to_the_same_numbers(finished, capsys):
    model = longtail.load(finished[0])
    split = model.recipe.load_split(None, workers=0)
    predictions = model.evaluate(split)
    assert predictions.results(model.train_counts)["flip"] == model.results["flip"]
    by_hand = torch.stack(
        [
            torch.tensor(model.transform_set.eval_transform(split.test.read(i))).permute(2, 0, 1)
            for i in range(len(split.test))
        ]
    )
    assert torch.allclose(model.logits(by_hand), predictions.plain, atol=1e-5)
    flipped = (model.logits(by_hand) + model.logits(by_hand.flip(-1))) / 2
    assert torch.allclose(flipped, predictions.flip, atol=1e-5)
    with pytest.raises(SystemExit) as stop:
        app.main(["evaluate", str(finished[0])])
    assert stop.value.code == 0


def test_predictions_of_files_equal_the_predictions_of_the_test(finished, folder, tmp_path, capsys):
    model, out = longtail.load(finished[0], device="cpu"), tmp_path / "found.csv"
    test = model.recipe.load_split(None, workers=0).test
    expected = pq.read_table(finished[0] / "predictions.parquet").to_pydict()
    found = model.predict([test.name(i) for i in range(len(test))])
    assert [prediction.label for prediction in found] == [model.classes[c] for c in expected["predicted"]]
    assert [prediction.probabilities[0] for prediction in found] == pytest.approx(expected["confidence"], abs=1e-6)
    with pytest.raises(SystemExit) as stop:
        app.main(["predict", str(finished[0]), str(folder / "test"), "--out", str(out)])
    rows = {row["path"]: row for row in csv.DictReader(out.open())}
    assert stop.value.code == 0 and len(rows) == len(test)
    for i, prediction in enumerate(found):
        row = rows[test.name(i)]
        assert row["class_1"] == prediction.label and float(row["probability_1"]) == pytest.approx(
            prediction.probabilities[0], abs=1e-6
        )


def test_pretrained_weights_begin_a_run_bring_their_normalization_and_are_not_needed_afterwards(folder, tmp_path):
    weights = tmp_path / "weights.safetensors"
    state = Net("test_resnet", size=32).encoder().body.state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, weights)
    run = tmp_path / "run"
    tiny = OPTIONS | {"epochs": 1, "lr": 1e-9, "method": "ce", "experts": 1}
    train(recipe_for(str(folder), "scratch", weights=str(weights), **tiny), run, SilentReport())
    weights.unlink()
    model = longtail.load(run)
    assert model.transform_set.mean == (0.5, 0.5, 0.5) and model.run.model["transform"]["mean"] == [0.5] * 3
    name = "encoders.experts.0.body.conv1.0.weight"
    assert torch.allclose(load_file(run / "model.safetensors")[name], state["conv1.0.weight"], atol=1e-6)
    with pytest.raises(LongtailError, match=r"weights\.safetensors are not there"):
        train(model.recipe, tmp_path / "again", SilentReport())


def test_a_method_with_a_step_after_training_reads_all_images_of_files(folder):
    from longtail.evaluate import iterate_batches

    split = recipe_for(str(folder), "scratch", **OPTIONS).load_split(None, workers=0)
    found = list(
        iterate_batches(split.train, recipe_for(str(folder), "scratch", **OPTIONS).transform_set, torch.device("cpu"))
    )
    assert torch.equal(torch.cat([b.index for b in found]), torch.arange(24))
    assert torch.equal(torch.cat([b.y for b in found]), split.train.labels)
    assert found[0].views[0].dtype == torch.float32 and found[0].views[0].shape[1:] == (3, 32, 32)


EVALUATED = [
    ("ecl", "test_resnet", "imagenet-32"),
    ("ecl", "test_vit", "custom-32"),
    ("ride", "resnet8", "imagenet-32"),
]


@pytest.mark.parametrize("method, net, views", EVALUATED)
def test_ranks_without_an_image_of_a_small_test_set_give_no_logits(folder, method, net, views):
    recipe = recipe_for(str(folder), "scratch", method=method, views=views, net=net, experts=2)
    model, test = recipe.build_method((12, 7, 5)), streamed(folder).test.take([0, 3, 4, 6, 8])
    shares = [test.take(range(5)[World(torch.device("cpu"), rank, 4).shard(5)]) for rank in range(4)]
    assert [len(share) for share in shares] == [2, 2, 1, 0]
    for compute in (compute_logits, partial(compute_logits, flip=True), compute_features):
        together = torch.cat([compute(model, share, recipe.transform_set) for share in shares], 1)
        assert torch.allclose(together, compute(model, test, recipe.transform_set), atol=1e-5)
    assert read_inputs(test, [], recipe.transform_set).shape == (0, 3, 32, 32)


def test_views_of_files_are_refused_for_images_in_memory(tmp_path):
    with pytest.raises(LongtailError, match="views 'imagenet-8' are cut from files, and digits-lt is in memory"):
        train(recipe_for("digits-lt", views="imagenet-8"), tmp_path / "run", SilentReport())


def test_random_views_of_test_images_that_stay_photographs_are_refused_before_the_first_step(folder, tmp_path):
    recipe = recipe_for(str(folder), "scratch", method="sade", views="imagenet-32", aggregate=True, batch_size=10)
    with pytest.raises(LongtailError, match="leave --aggregate out, or take --views custom-32"):
        train(recipe, tmp_path / "run", SilentReport(), workers=0)
    assert not (tmp_path / "run").exists()
    for allowed in (recipe.change(views="custom-32"), recipe.change(method="ride"), recipe.change(aggregate=False)):
        method = allowed.build_method((12, 7, 5))
        build_loader(allowed, method, allowed.load_split(None, workers=0), SINGLE_PROCESS)


def test_a_wrong_number_of_workers_leaves_no_folder(folder, tmp_path):
    with pytest.raises(LongtailError, match="workers is -1"):
        train(recipe_for(str(folder), "scratch", **OPTIONS), tmp_path / "run", SilentReport(), workers=-1)
    assert not (tmp_path / "run").exists()


def damage_middle(path) -> None:
    """Write a PNG whose begin and end are good, so that its header passes."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    content[1000:3000] = bytes(2000)
    path.write_bytes(content)


@pytest.mark.parametrize("place", ["train/class 1/2.png", "test/class 1/2.png"])
def test_a_broken_image_of_files_ends_the_run_with_one_line_in_the_first_epoch_or_before(
    place, folder, tmp_path, capsys
):
    copy = shutil.copytree(folder, tmp_path / "copy")
    damage_middle(copy / place)
    words = [
        "--recipe",
        "scratch",
        "--net",
        "test_resnet",
        "--views",
        "imagenet-32",
        "--eval-every",
        "0",
        "--out",
        str(tmp_path / "run"),
    ]
    with pytest.raises(SystemExit) as stop:
        app.main(["train", str(copy), *words])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "class 1/2.png" in error and error.count("\n") == 1 and "--skip-bad" in error
    assert (tmp_path / "run").exists() == place.startswith("train")  # test images are decoded before the run begins
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
