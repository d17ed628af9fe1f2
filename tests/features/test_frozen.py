"""Frozen runs: features are computed once, methods train on them, and a model takes photographs again."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import longtail
from longtail import LongtailError
from longtail.data import LazyImages, decode
from longtail.distributed import SINGLE_PROCESS
from longtail.evaluate import compute_logits
from longtail.features import extract, list_cache
from longtail.launch import build_trainer, train
from longtail.nets import Net
from longtail.recipes import recipe_for
from longtail.runs.files import read_tensors, write_tensors
from longtail.tracking import SilentReport
from tests.data.pictures import colored_photos
from tests.dying import KillAt, Killed
from tests.test_distributed import environment, torchrun

SETTINGS = {"net": "resnet8", "frozen": True, "size": 32, "epochs": 4, "eval_every": 0}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a small network; random ones are as good as any for these claims."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet8.safetensors"
    write_tensors(path, Net("resnet8").encoder().body.state_dict())
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes that differ in color, 24, 12 and 6 training images of 40 x 50 pixels, and 6 test images each."""
    return colored_photos(tmp_path_factory.mktemp("photos"), (24, 12, 6), (6, 6, 6))


@pytest.fixture
def settings(weights, tmp_path):
    return SETTINGS | {"weights": str(weights), "cache": tmp_path / "cache"}


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("an image was read")


def extract_split(photos, settings, **changes):
    """The split of features that a run trains on, and the run's trainer."""
    fields = {name: value for name, value in (settings | changes).items() if name != "cache"}
    recipe = recipe_for(photos, method="bc", **fields)
    out = settings["cache"].with_name(f"run{len(list(settings['cache'].parent.iterdir()))}")
    return build_trainer(recipe, out, SilentReport(), SINGLE_PROCESS, cache=settings["cache"]).split


def test_cached_features_equal_those_of_the_encoder_bit_for_bit(photos, settings):
    split, again = (extract_split(photos, settings) for _ in range(2))
    for subset in ("train", "test"):
        assert torch.equal(split.subsets[subset].features, again.subsets[subset].features)
    recipe = recipe_for(photos, method="bc", **{k: v for k, v in settings.items() if k != "cache"})
    trunk, normalize = recipe.build_net().build_trunk(), recipe.transform_set.build_normalize()
    images = recipe.load_split().test
    pixels = torch.stack([torch.tensor(decode.fit_square(images.read(i), 32)).permute(2, 0, 1) for i in range(18)])
    with torch.no_grad():
        expected = torch.stack([trunk(normalize(x)) for x in (pixels, pixels.flip(-1))], dim=1)
    assert torch.allclose(split.test.features.float(), expected, atol=2e-3)


def test_a_second_run_reads_no_image(photos, settings, monkeypatch):
    longtail.train(photos, "bc", out=settings["cache"].with_name("first"), **settings)
    monkeypatch.setattr(LazyImages, "read", refuse)
    monkeypatch.setattr(LazyImages, "read_header", refuse)
    split = extract_split(photos, settings)
    assert len(split.train) == 42 and len(split.test) == 18


def test_a_changed_byte_costs_the_features_of_one_image(photos, settings, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    before = extract_split(folder, settings)
    path = folder / "test" / "class1" / "3.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[20, 20:30] ^= 255
    Image.fromarray(pixels).save(path)
    after = extract_split(folder, settings)
    same = [bool(torch.equal(a, b)) for a, b in zip(before.test.features, after.test.features, strict=True)]
    assert same.count(False) == 1 and torch.equal(before.train.features, after.train.features)


CHANGES = [{"size": 40}, {"frozen_views": 3}, {"frozen_views": 4}, {"views": "imagenet-32"}]  # the last cuts a center


@pytest.mark.parametrize("change", CHANGES)
def test_another_size_or_number_of_looks_has_features_of_its_own(photos, settings, change):
    extract_split(photos, settings)
    entries = len(list_cache(settings["cache"]))
    extract_split(photos, settings, **change)
    assert len(list_cache(settings["cache"])) > entries


def test_looks_are_plain_mirrored_and_random_crops(photos, settings):
    two, four = (extract_split(photos, settings, frozen_views=n).train for n in (2, 4))
    assert two.looks == 2 and four.looks == 4 and torch.equal(two.features, four.features[:, :2])
    assert not torch.equal(four.features[:, 2], four.features[:, 3])
    assert torch.equal(four.features, extract_split(photos, settings, frozen_views=4).train.features)


def test_a_kill_between_files_leaves_whole_files_and_the_next_run_computes_the_rest(photos, settings, monkeypatch):
    expected = extract_split(photos, settings | {"cache": settings["cache"].with_name("other")})
    monkeypatch.setattr(extract, "FILE_IMAGES", 8)
    write, written = extract.FeatureCache.write, []

    def die(self, digests, features):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(len(digests))
        return write(self, digests, features)

    monkeypatch.setattr(extract.FeatureCache, "write", die)
    with pytest.raises(KeyboardInterrupt):
        extract_split(photos, settings)
    assert sum(entry["images"] for entry in list_cache(settings["cache"])) == 24
    written.clear()
    monkeypatch.setattr(extract.FeatureCache, "write", lambda s, d, f: written.append(len(d)) or write(s, d, f))
    split = extract_split(photos, settings)
    assert sum(written) == 42 + 18 - 24
    assert torch.equal(split.train.features, expected.train.features)


def test_predictions_of_photographs_are_those_of_the_heads_on_the_cache(photos, settings, tmp_path):
    model = longtail.train(photos, "bc", out=tmp_path / "run", **settings)
    files = sorted(photos.glob("test/*/*.png"), key=lambda p: (p.parent.name, int(p.stem)))
    kept = pq.read_table(tmp_path / "run" / "predictions.parquet").to_pydict()
    for found, predicted, confidence in zip(model.predict(files), kept["predicted"], kept["confidence"], strict=True):
        assert found.classes[0] == model.classes[predicted] and abs(found.probabilities[0] - confidence) < 2e-3


def test_a_frozen_run_keeps_its_encoder_once_and_a_slim_run_only_its_hash(photos, settings, weights, tmp_path):
    whole = longtail.train(photos, "ecl", out=tmp_path / "whole", neck=8, **settings)
    slim = longtail.train(photos, "ecl", out=tmp_path / "slim", neck=8, slim=True, **settings)
    assert (tmp_path / "whole" / "encoder.safetensors").is_file()
    assert not (tmp_path / "slim" / "encoder.safetensors").exists()
    pixels = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(whole.logits(pixels), slim.logits(pixels))


def test_a_slim_run_refuses_other_weights_and_says_so(photos, settings, tmp_path):
    mine = Path(shutil.copy(settings["weights"], tmp_path / "mine.safetensors"))
    longtail.train(photos, "bc", out=tmp_path / "slim", slim=True, **settings | {"weights": str(mine)})
    torch.manual_seed(9)
    write_tensors(mine, Net("resnet8").encoder().body.state_dict())
    with pytest.raises(LongtailError, match=r"slim.*not the one it was trained with"):
        longtail.load(tmp_path / "slim")
    mine.unlink()
    with pytest.raises(LongtailError, match=r"slim.*needs"):
        longtail.load(tmp_path / "slim")


def test_a_run_goes_on_with_the_weights_it_was_begun_with_or_not_at_all(photos, settings, tmp_path):
    mine = Path(shutil.copy(settings["weights"], tmp_path / "mine.safetensors"))
    fields = {name: value for name, value in settings.items() if name != "cache"} | {"weights": str(mine)}
    recipe, where = recipe_for(photos, method="bc", **fields), {"cache": settings["cache"]}
    with pytest.raises(Killed):
        train(recipe, tmp_path / "run", KillAt(2), **where)
    torch.manual_seed(9)
    write_tensors(mine, Net("resnet8").encoder().body.state_dict())
    with pytest.raises(LongtailError, match=r"begun with other weights.*choose another --out"):
        train(recipe, tmp_path / "run", SilentReport(), resume=True, **where)


def test_a_damaged_encoder_is_refused(photos, settings, tmp_path):
    longtail.train(photos, "bc", out=tmp_path / "run", **settings)
    path = tmp_path / "run" / "encoder.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(LongtailError, match=r"encoder.safetensors is not as longtail wrote it"):
        longtail.load(tmp_path / "run")


def test_a_killed_frozen_run_resumes_to_the_same_weights(photos, settings, tmp_path):
    whole = longtail.train(photos, "ecl", out=tmp_path / "whole", neck=8, **settings)
    fields = {name: value for name, value in settings.items() if name != "cache"}
    recipe, where = recipe_for(photos, method="ecl", neck=8, **fields), {"cache": settings["cache"]}
    with pytest.raises(Killed):
        train(recipe, tmp_path / "killed", KillAt(2), **where)
    train(recipe, tmp_path / "killed", SilentReport(), resume=True, **where)
    killed = longtail.load(tmp_path / "killed")
    for name, value in whole.method.inference_state().items():
        assert torch.equal(value, killed.method.inference_state()[name]), name


def test_an_unreadable_image_is_named_or_left_out(photos, settings, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (folder / "train" / "class0" / "0.png").write_bytes(b"no image")
    with pytest.raises(LongtailError, match=r"class0/0.png.*--skip-bad"):
        extract_split(folder, settings)
    split = extract_split(folder, settings, skip_bad=True)
    assert len(split.train) == 41 and split.classes.counts == (23, 12, 6)
    model = longtail.train(folder, "bc", out=tmp_path / "run", skip_bad=True, **settings)
    assert len(model.run.load_data().train) == 41


def test_figures_of_a_frozen_run_are_drawn_from_its_features(photos, settings, tmp_path, monkeypatch):
    from longtail.analysis.outputs import RunOutputs

    model = longtail.train(photos, "ecl", out=tmp_path / "run", neck=8, **settings)
    monkeypatch.setattr(LazyImages, "read", refuse)
    outputs = RunOutputs.load(tmp_path / "run")
    assert outputs.logits.shape == (3, 18, 3) and outputs.features.shape == (3, 18, 8)
    assert outputs.logits.mean(0).argmax(-1).tolist() == model.run.predictions["predicted"].tolist()


@pytest.mark.parametrize("expert", [None, 1])
def test_the_exported_model_takes_photographs(photos, settings, tmp_path, expert):
    model = longtail.train(photos, "ecl", out=tmp_path / "run", neck=8, **settings)
    path, difference = model.export("onnx", expert=expert)
    assert path.is_file() and difference < 1e-2
    tensors, _ = model.export("safetensors", expert=expert)
    state = read_tensors(tensors)
    assert any(name.startswith("trunk.") for name in state)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"method": "cmo"}, "cmo works on pixels.*these can: ce, bc"),
        ({"weights": None}, "need pretrained weights; add `weights` auto"),
        ({"method": "ride", "neck": 0}, "add `neck`"),
        ({"frozen": False, "neck": 8}, "add `frozen` or leave `neck` out"),
    ],
)
def test_what_cannot_train_on_features_is_refused_in_one_line(photos, settings, tmp_path, changes, message):
    with pytest.raises(LongtailError, match=message) as caught:
        longtail.train(photos, out=tmp_path / "run", **settings | changes)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_an_existing_folder_is_refused_before_any_feature_is_computed(photos, settings, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(LazyImages, "read", refuse)
    with pytest.raises(LongtailError, match="exists already"):
        longtail.train(photos, "bc", out=tmp_path / "run", **settings)


def test_features_of_a_known_set_are_of_its_images_resized(weights, tmp_path):
    recipe = recipe_for("digits-lt", "frozen", method="bc", net="resnet8", weights=str(weights), size=32, epochs=2)
    trainer = build_trainer(recipe, tmp_path / "run", SilentReport(), SINGLE_PROCESS, cache=tmp_path / "cache")
    assert trainer.recipe.imbalance == 50 and len(trainer.split.train) == 287
    trainer.fit()
    model = longtail.load(tmp_path / "run")
    test = trainer.split.test
    pixels = model.evaluate(model.run.load_data())
    assert torch.allclose(pixels.plain, compute_logits(model.method, test, model.transform_set), atol=2e-2)


def test_two_processes_share_the_extraction_and_train_as_one(photos, settings, tmp_path):
    one = longtail.train(photos, "bc", out=tmp_path / "one", **settings)
    flags = ["--net", "resnet8", "--weights", settings["weights"], "--frozen", "--size", 32, "--epochs", 4]
    words = ["train", photos, "bc", *flags, "--eval-every", 0, "--cache", tmp_path / "other", "--out", tmp_path / "two"]
    found = subprocess.run(torchrun("-m", "longtail", *words), env=environment(), capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    two = longtail.load(tmp_path / "two")
    assert sum(entry["images"] for entry in list_cache(tmp_path / "other")) == 42 + 18
    for name, value in one.method.inference_state().items():
        assert torch.allclose(value, two.method.inference_state()[name], atol=1e-3), name
