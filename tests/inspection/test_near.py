"""Near duplicates by features: planted copies are found across subsets and classes, and a frozen run reuses the features."""

import json
import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.commands.inspect import add_near_duplicates
from longtail.data import LazyImages
from longtail.inspection import near
from longtail.inspection.advice import advise_on_near
from longtail.inspection.near import BLOCK, find_pairs, whiten
from longtail.inspection.near_page import build_near_json, render_near
from longtail.inspection.page import render_page
from longtail.inspection.summary import build_overview, list_near
from tests.data.pictures import picture
from tests.data.tracks import FISH
from tests.inspection.test_inspect import collect

NET = "tf_efficientnet_lite0"


def draw(generator: np.random.Generator) -> Image.Image:
    """Draw ellipses and bars of random colors, as large as a small photograph."""
    image = Image.new("RGB", (180, 140), tuple(generator.integers(0, 256, 3).tolist()))
    for _ in range(generator.integers(2, 9)):
        box = np.sort(generator.integers(0, 180, (2, 2)), axis=0).ravel().tolist()
        shape = getattr(ImageDraw.Draw(image), generator.choice(["ellipse", "rectangle"]))
        shape(box, fill=tuple(generator.integers(0, 256, 3).tolist()))
    return image


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Two kinds of fish in train and test, 12 and 6 images each, and three planted copies; returns folder and copies."""
    folder, generator = tmp_path_factory.mktemp("data") / "otolith_survey_2021", np.random.default_rng(0)
    for subset, n in (("train", 12), ("test", 6)):
        for fish in FISH[:2]:
            (folder / subset / fish).mkdir(parents=True)
            for _ in range(n):
                draw(generator).save(folder / subset / fish / f"{generator.bytes(6).hex()}_dorsal_view.png")
    first = [sorted((folder / "train" / fish).iterdir())[0] for fish in FISH[:2]]
    leaked = folder / "test" / FISH[0] / "copy_of_a_train_image_cropped.jpg"
    Image.open(first[0]).crop((3, 2, 178, 139)).save(leaked, quality=90)
    mislabeled = folder / "train" / FISH[0] / "copy_of_another_kind_of_fish_cropped.jpg"
    Image.open(first[1]).crop((5, 4, 175, 136)).save(mislabeled, quality=80)
    encoded = folder / "train" / FISH[1] / "copy_within_train_encoded_again.jpg"
    Image.open(sorted((folder / "train" / FISH[1]).iterdir())[1]).save(encoded, quality=50)
    return folder, {"across subsets": leaked, "of different classes": mislabeled, "within a subset": encoded}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def facts(survey, cache):
    return add_near_duplicates(collect(survey[0]), NET, None, None, cache)


def test_planted_copies_are_found_and_named_by_their_kind(facts, survey):
    kinds = {title: lines for title, _, lines in list_near(facts, 5)}
    assert list(kinds) == [
        f"Near duplicates {kind}" for kind in ("of different classes", "across subsets", "within a subset")
    ]
    for kind, path in survey[1].items():
        (line,) = kinds[f"Near duplicates {kind}"]
        assert path.name in line and re.match(r"0\.[5-9]\d  ", line)
    assert "classes" in dict(build_overview(facts))["near duplicates"]
    assert advise_on_near(facts) == [
        "1 test image has near duplicates in train; look at the pairs, and remove copies from one subset."
    ]


def test_pairs_are_pictured_on_the_page_and_listed_as_json(facts, survey):
    page, section = (render(facts).replace("<wbr>", "") for render in (partial(render_page, advice=[]), render_near))
    assert section.count('src="data:image/jpeg;base64,') == 6 and "img-src data:" in page and section in page
    assert all(path.name in section for path in survey[1].values()) and not re.search(r"https?://|<script", page)
    found = json.loads(json.dumps(build_near_json(facts)))
    assert found["total"] == len(found["pairs"]) == 3 and found["net"] == NET and len(found["weights"]["sha256"]) == 64
    assert {image["path"] for pair in found["pairs"] for image in pair["images"]} >= set(map(str, survey[1].values()))


def test_without_a_network_nothing_is_said(survey):
    facts = collect(survey[0])
    assert facts.near is None and "near duplicates" not in dict(build_overview(facts))
    assert "Near duplicates" not in render_page(facts, []) and not advise_on_near(facts)


@pytest.mark.parametrize("part", ["", "train"])
def test_a_frozen_run_after_the_inspection_reads_no_image(part, survey, cache, tmp_path, monkeypatch):
    data = survey[0] / part
    add_near_duplicates(collect(data), NET, None, None, cache)
    monkeypatch.setattr(LazyImages, "read", lambda *_: pytest.fail("an image was read"))
    flags = {"test_share": 0.2} if part else {}
    run = longtail.train(data, "ce", out=tmp_path / "run", net=NET, epochs=1, cache=cache, **flags)
    assert run.results["epochs"] == 1


def test_blocks_find_the_pairs_of_one_product():
    features = torch.nn.functional.normalize(torch.randn(BLOCK + 70, 3, generator=torch.Generator().manual_seed(0)))
    found = find_pairs(features, 0.999)
    i, j = ((features @ features.T).triu(1) >= 0.999).nonzero(as_tuple=True)
    assert {*map(tuple, found.positions.tolist())} == {*zip(i.tolist(), j.tolist(), strict=True)} and len(
        i
    ) == found.total
    assert (np.diff(found.cosines) <= 0).all()
    few = find_pairs(features, 0.999, most=10)
    assert np.array_equal(few.positions, found.positions[:10]) and few.total == found.total


def test_many_equal_images_do_not_hide_near_ones(monkeypatch):
    features = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    features[:30] = features[0]  # thirty files of one content
    features[31] = features[30] + 0.01
    content = np.array([0] * 30 + list(range(1, 11)))
    images = SimpleNamespace(content=content)
    monkeypatch.setattr(near, "whiten", lambda found: torch.nn.functional.normalize(found, dim=1))
    found = near.find_near_duplicates(images, features, np.arange(40), "cpu", 0.99)
    assert found.positions.tolist() == [[30, 31]] and found.total == 1


def test_whitening_takes_correlations_out():
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(5000, 8, generator=generator) @ torch.randn(8, 8, generator=generator) + 3
    white = whiten(mixed.half()).float()
    assert torch.allclose(white.norm(dim=1), torch.ones(5000), atol=1e-2)
    covariance = white.T.cov()
    assert (covariance - covariance.diag().diag()).abs().max() < 0.01 < 0.1 * mixed.T.corrcoef().triu(1).abs().max()
    for few in (mixed[:0], mixed[:1], mixed[:1].repeat(3, 1)):
        assert whiten(few.half()).isfinite().all()


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--weights", "timm"], "weights is of the network that finds near duplicates; add --net"),
        (["--cosine", "0.9"], "cosine is of the network"),
        (["--cache", "x"], "cache is of the network"),
        (["--net", NET, "--cosine", "2"], "cosine is 2.0; it must be at most 1"),
        (["--net", "tf_efficientnet_lite"], "unknown net 'tf_efficientnet_lite'"),
        (["--net", NET], "is no list of `longtail inspect`"),
    ],
)
def test_flags_that_do_nothing_and_files_of_others_are_refused(flags, words, tmp_path, capsys):
    for i in range(4):
        picture(tmp_path / "set" / "ab"[i % 2] / f"{i}.png", i)
    (tmp_path / "page.near.json").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        app.main(["inspect", str(tmp_path / "set"), *flags, "--out", str(tmp_path / "page.html")])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and words in error and error.count("\n") == 1
    assert (tmp_path / "page.near.json").read_text() == "mine" and not (tmp_path / "page.html").exists()


def test_a_network_without_weights_is_one_line(survey, tmp_path):
    with pytest.raises(LongtailError, match="resnet8"):
        add_near_duplicates(collect(survey[0]), "resnet8", None, None, str(tmp_path))
