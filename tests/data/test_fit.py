"""How photographs become squares: the center cut out, padded, or squeezed; one way in a whole run."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors import safe_open

import longtail
from longtail import LongtailError
from longtail.augment import get_transform_set
from longtail.data.eval_transform import MEAN_COLOR, build_eval_transform, build_square_transform
from longtail.data.folder import list_folder
from longtail.inspection.advice import advise_on_training
from longtail.recipes import recipe_for
from longtail.runs.files import read_json
from tests.data.tracks import FISH
from tests.inspection.test_inspect import collect

FITS = ("cut", "pad", "squeeze")


def draw_eel(label: int, seed: int, size: tuple[int, int] = (96, 24)) -> Image.Image:
    """Draw a long animal of noise, whose head and tail alone tell its class."""
    pixels = np.random.default_rng(seed).integers(60, 160, (size[1], size[0], 3)).astype(np.uint8)
    pixels[:, :20] = pixels[:, -20:] = 255 * (np.arange(3) == label)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def eels(tmp_path_factory):
    """Long animals of three classes, in train and test."""
    folder = tmp_path_factory.mktemp("data") / "eel_survey"
    for subset, n in (("train", 12), ("test", 4)):
        for label, fish in enumerate(FISH):
            (folder / subset / fish).mkdir(parents=True)
            for i in range(n):
                size = (24, 96) if i == 0 else (96, 24)  # one stands upright
                draw_eel(label, 100 * n + i, (96, 24)).resize(size).save(
                    folder / subset / fish / f"eel_{i:03d}_lateral.png"
                )
    return folder


def make_square(image: Image.Image, fit: str, size: int = 32) -> np.ndarray:
    return build_square_transform(size, fit).transform(image)


def test_cut_is_what_it_was_and_loses_both_ends_which_pad_and_squeeze_keep():
    a, b = (draw_eel(label, 0) for label in (0, 1))
    assert np.array_equal(make_square(a, "cut"), np.asarray(ImageOps.fit(a, (32, 32), Image.Resampling.BILINEAR)))
    assert np.array_equal(make_square(a, "cut"), make_square(b, "cut"))
    for fit in ("pad", "squeeze"):
        left, right = make_square(a, fit)[16, 0], make_square(a, fit)[16, -1]
        assert left[0] > 240 > 40 > left[1] and np.array_equal(left, right)


def test_padding_is_centered_in_the_mean_color_and_keeps_the_aspect():
    for image, axis in ((draw_eel(0, 0), 0), (draw_eel(0, 0).rotate(90, expand=True), 1)):
        rows = np.moveaxis(make_square(image, "pad"), axis, 0)
        assert (rows[:12] == MEAN_COLOR).all() and (rows[20:] == MEAN_COLOR).all() and (rows[12:20] != MEAN_COLOR).any()
    assert make_square(Image.new("RGB", (3000, 2)), "pad", 16).shape == (16, 16, 3)


@pytest.mark.parametrize("size", [(40, 40), (32, 32), (7, 7)])
def test_all_ways_are_equal_for_squares(size):
    image = draw_eel(1, 0).resize(size)
    assert np.array_equal(make_square(image, "cut"), make_square(image, "pad"))
    assert np.array_equal(make_square(image, "cut"), make_square(image, "squeeze"))


def test_views_of_photographs_pad_and_squeeze_without_a_margin():
    from dataclasses import replace

    photo, eel = get_transform_set("imagenet-32"), draw_eel(2, 0)
    assert np.array_equal(build_eval_transform(photo).transform(eel), photo.eval_transform(eel))
    for fit in ("pad", "squeeze"):
        assert np.array_equal(build_eval_transform(replace(photo, fit=fit)).transform(eel), make_square(eel, fit))


RUNS = {
    "memory": {"recipe": "scratch", "net": "conv4", "size": 16},
    "photographs": {"recipe": "scratch", "net": "conv4", "views": "imagenet-32", "workers": 0},
    "frozen": {"net": "tf_efficientnet_lite0", "size": 32, "frozen_views": 3},
}


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("fit", ["pad", "squeeze"])
def test_predict_evaluate_and_export_agree_with_training_to_the_bit(kind, fit, eels, tmp_path):
    settings = {"epochs": 2, "threads": 1, "cache": tmp_path / "cache", "fit": fit} | RUNS[kind]
    model = longtail.train(eels, "ce", out=tmp_path / "run", **settings)
    split = model.run.load_data()
    found = model.evaluate(split)
    assert found.results(model.train_counts)["plain"] == model.results["plain"] and model.transform_set.fit == fit
    paths = [eels / "test" / fish / name for fish in FISH for name, _ in sorted(list_folder(eels / "test" / fish))]
    paths = sorted(paths, key=lambda path: (sorted(FISH).index(path.parent.name), path.name))
    alone = longtail.inference.images.to_image_tensor(paths, model.transform_set)
    assert torch.equal(model.logits(alone), found.plain)
    kept = read_json(tmp_path / "run" / "model.json")["transform"]
    assert (
        kept["fit"] == fit
        and kept["resize"] == kept["size"][0]
        and kept.get("fill") == ([*MEAN_COLOR] if fit == "pad" else None)
    )
    path, _ = model.export("safetensors")
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["transform"]) == kept
    with pytest.raises(LongtailError, match=f"fit is '{fit}' there and 'cut' here"):
        longtail.train(eels, "ce", out=tmp_path / "run", resume=True, **settings | {"fit": "cut"})


def test_features_of_another_fit_are_never_mixed_and_cut_keeps_its_place(eels, tmp_path):
    settings = RUNS["frozen"] | {"epochs": 1, "frozen_views": 1, "cache": tmp_path / "cache"}
    for fit in FITS[:2]:
        longtail.train(eels, "ce", out=tmp_path / fit, fit=fit, **settings)
    abouts = [read_json(path) for path in (tmp_path / "cache").glob("features/*/about.json")]
    assert sorted(about.get("fit", "cut") for about in abouts) == sorted(2 * FITS[:2])  # training and test images


def test_what_the_ends_tell_is_learned_only_if_they_are_kept(eels, tmp_path):
    settings = {"recipe": "scratch", "net": "conv4", "size": 16, "epochs": 20, "threads": 1}
    cut, pad = (longtail.train(eels, "ce", out=tmp_path / fit, fit=fit, **settings).results for fit in ("cut", "pad"))
    assert cut["plain"]["ensemble"]["top1"] < 60 and pad["plain"]["ensemble"]["top1"] > 90


@pytest.mark.parametrize("data", ["digits-lt", "cifar10-lt", "cifar100-lt"])
def test_sets_of_squares_refuse_a_fit_that_does_nothing(data):
    with pytest.raises(LongtailError, match=r"fit is pad, but the images of .* are squares"):
        recipe_for(data, fit="pad")
    assert recipe_for(data, fit="cut").fit == "cut"


def test_five_crops_and_a_fit_exclude_each_other(eels):
    with pytest.raises(LongtailError, match="five_crop cuts crops out, and fit pad cuts nothing"):
        recipe_for(eels, "scratch", method="ce", fit="pad", five_crop=True)


def test_inspect_says_that_ends_of_long_images_are_cut_off(eels, tmp_path):
    line = "100% of the images are longer than 1.5 : 1, and both ends of these are cut off; --fit pad or --fit squeeze"
    assert any(line in text for text in advise_on_training(collect(eels)))
    for i in range(12):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        draw_eel(0, i, (30 + i, 30)).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    assert not any("1.5 : 1" in text for text in advise_on_training(collect(tmp_path)))
