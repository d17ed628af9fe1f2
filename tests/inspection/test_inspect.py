"""The command `longtail inspect`: facts, advice and page."""

import base64
import hashlib
import math
import re
import shutil
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from longtail import LongtailError
from longtail.commands import app
from longtail.commands.inspect import inspect_data
from longtail.inspection import page, suggestions
from longtail.inspection.advice import compute_group_error, give_advice
from longtail.inspection.facts import Facts
from longtail.inspection.page import HEIGHT, draw_histogram, render_page
from longtail.inspection.suggestions import suggest_commands
from tests.data.pictures import bad_files, class_folders


def collect(data, **flags) -> Facts:
    """Inspect data with the default flags but those given."""
    return inspect_data(
        str(data), **{"root": None, "val": None, "test": None, "imbalance": None, "every": False} | flags
    )


@pytest.fixture
def folder(tmp_path):
    """Write a folder with 120, 30, 2 and 0 training images a class, a leak, a conflict and bad files."""
    folder = tmp_path / "<my> [set]"
    class_folders(folder / "train", {"many": 120, "medium": 30, "few & <b>far": 2, "none": 0})
    class_folders(folder / "test", {"many": 5, "medium": 5}, first=300)
    shutil.copy(folder / "train" / "many" / "0.png", folder / "test" / "many" / "leak.png")
    shutil.copy(folder / "train" / "many" / "1.png", folder / "train" / "medium" / "conflict.png")
    bad_files(folder / "train" / "few & <b>far")
    return folder


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main(list(words))
    return stop.value.code


def test_every_fault_of_a_folder_is_found(folder):
    facts = collect(folder)
    assert facts.counts == {"train": [10, 120, 31, 0], "test": [0, 6, 5, 0]} and facts.imbalance == 12
    assert facts.classes.names == ("few & <b>far", "many", "medium", "none")
    assert len(facts.headers.bad) == 8 and facts.headers.is_decoded and facts.headers.kinds == {"PNG RGB": 164}
    assert facts.find_empty_classes("test") == ["few & <b>far", "none"] and facts.find_smallest_classes(1) == [
        ("none", 0)
    ]
    advice = " ".join(give_advice(facts))
    for words in (
        "8 unreadable",
        "1 test image is also in train",
        "1 image has several classes",
        "--size 32 suits a median shorter side of",
        "--queue is small",
        "2 classes have no",
    ):
        assert words in advice


def test_the_page_escapes_names_and_needs_no_network(folder):
    facts = collect(folder)
    text = render_page(facts, give_advice(facts))
    assert "<b>far" not in text and "few &amp; &lt;b&gt;far" in text and "leak.png" in text and "cut.jpg" in text
    assert not re.search(r"<script|https?://|src=(?!\"data:image/)", text.replace("http://www.w3.org", ""))
    assert "prefers-color-scheme: dark" in text and 'role="img"' in text
    HTMLParser().feed(text)


def test_the_policy_of_the_page_allows_its_one_style_and_embedded_images_and_nothing_else(folder):
    facts = collect(folder)
    text = render_page(facts, give_advice(facts))
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy"\s+content="([^"]*)">', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    expected = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert policy == expected and text.index(policy) < text.index("<style>")
    assert not re.search(r"<[^>]*\s(?:style|on\w+)=", text)


def read_pictures(text: str) -> list[tuple[str, str]]:
    """Return name and kind of each photograph of a page."""
    return [
        (unescape(name), kind)
        for kind, name in re.findall(r'<img src="data:image/(\w+);base64,[^"]*" alt="([^"]*)"', text)
    ]


def test_the_page_shows_three_readable_photographs_of_each_class_by_their_relative_paths(folder):
    text = render_page(facts := collect(folder), [])
    shown = {"few & <b>far": ("0", "1"), "medium": ("0", "15", "conflict"), "many": ("0", "60", "119")}
    expected = [f"train/{name}/{place}.png" for name, places in shown.items() for place in places]
    assert [name for name, _ in read_pictures(text)] == expected and facts.find_empty_classes("train") == ["none"]
    assert {kind for _, kind in read_pictures(text)} == {"png"}


@pytest.mark.parametrize("is_relative", [True, False])
def test_no_absolute_path_is_on_the_page(folder, tmp_path, monkeypatch, is_relative):
    monkeypatch.chdir(tmp_path)
    facts = collect(folder.name if is_relative else folder)
    needed = {"root": str(tmp_path / "root"), "val": None, "test": None}
    text = render_page(facts, give_advice(facts), suggest_commands(facts, needed))
    text = re.sub("<wbr>|</?span>", "", text)
    assert str(tmp_path) not in text and "train/few &amp; &lt;b&gt;far/cut.jpg: " in text and "--root root" in text


def test_the_page_of_a_hundred_classes_of_photographs_is_under_three_megabytes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)  # noise: the largest JPEGs
    for c in range(100):
        (tmp_path / "photos" / f"species_{c}_young_stage").mkdir(parents=True)
        for i in range(3):
            pixels[0, 0] = c, i, 0
            path = tmp_path / "photos" / f"species_{c}_young_stage" / f"{i}.png"
            Image.fromarray(pixels).resize((256, 192), Image.Resampling.BILINEAR).save(path, compress_level=1)
    text = render_page(collect(tmp_path / "photos"), [])
    assert len(read_pictures(text)) == 300 and len(text) < 3e6


def test_images_without_files_are_shown_by_their_positions():
    assert [name for name, _ in read_pictures(render_page(collect("digits-lt"), []))][:2] == ["image 285", "image 286"]


def test_a_page_of_very_many_classes_shows_photographs_of_the_smallest(folder, monkeypatch):
    monkeypatch.setattr(page, "MAX_PICTURED", 2)
    text = render_page(collect(folder), [])
    assert {name.split("/")[1] for name, _ in read_pictures(text)} == {"few & <b>far"}
    assert "for the 2 smallest classes" in " ".join(text.split())


@pytest.fixture
def unmeasured(monkeypatch):
    """Leave the costs of training unmeasured, which tests of other claims need not wait for."""
    monkeypatch.setattr(suggestions, "measure_cost", lambda *_: "a while")


@pytest.mark.usefixtures("unmeasured")
def test_the_command_prints_and_writes_and_overwrites_only_its_page(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run("inspect", str(folder)) == 0
    text = capsys.readouterr().out
    for words in (
        "few & <b>far",
        "imbalance",
        "12, Gini",
        "Unreadable images: 8",
        "broken_link.jpg",
        "leak.png",
        "Advice",
        "longtail train",
        "a while",
    ):
        assert words in text
    (made,) = tmp_path.glob("*.html")
    made.write_text("mine")
    assert run("inspect", str(folder)) == 2 and made.read_text() == "mine"
    assert "is there already and is no page of" in capsys.readouterr().err
    assert run("inspect", str(folder), "--out", str(tmp_path / "no" / "page.html")) == 2
    assert run("inspect", "digit-lt") == 2 and "did you mean 'digits-lt'" in capsys.readouterr().err


@pytest.mark.usefixtures("unmeasured")
def test_the_page_of_another_data_set_is_not_replaced(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other" / folder.name  # whose page has the same name
    class_folders(other, {"a": 3, "b": 2})
    assert run("inspect", str(folder)) == run("inspect", folder.name) == 0, "the same data by a relative path"
    (made,) = tmp_path.glob("*.html")
    before = made.read_bytes()
    assert run("inspect", str(other)) == 2 and made.read_bytes() == before
    assert "is the page of another data set; choose another --out" in capsys.readouterr().err
    assert run("inspect", "digits-lt", "--out", str(made)) == 2


def test_known_data_sets_are_inspected(capsys, tmp_path):
    assert run("inspect", "digits-lt", "--imbalance", "20", "--out", str(tmp_path / "a.html")) == 0
    text = capsys.readouterr().out
    assert "20.8, Gini" in text and "test 700" in text and "uses the recipe digits" in text


def test_data_without_test_images_get_advice_to_hold_some_out(folder):
    assert any("--test-share 0.2" in line for line in give_advice(collect(folder / "train")))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_gini_is_the_mean_difference_over_twice_the_mean(counts):
    from longtail.data import ClassTable

    facts = Facts("", "", ClassTable(tuple(map(str, counts)), tuple(counts)), {}, {}, None, None, [])
    differences = np.abs(np.subtract.outer(counts, counts)).mean()
    assert math.isclose(facts.gini, differences / (2 * max(np.mean(counts), 1e-9)) if sum(counts) else 0, abs_tol=1e-9)


def test_the_standard_error_equals_that_of_simulated_coins():
    draws = np.random.default_rng(0)
    tested = [4, 16, 9]
    means = np.mean([draws.binomial(n, 0.5, 40_000) / n for n in tested], axis=0)
    assert compute_group_error(tested) == pytest.approx(100 * means.std(), rel=0.02)


@pytest.mark.parametrize("counts", [[5], [0, 0], [1000, 10, 1, 0], [100] * 3000])
def test_a_histogram_has_a_bar_for_every_class_with_images(counts):
    groups = ["many" if n > 100 else "few" if n < 20 else "medium" for n in counts]
    drawn = draw_histogram(counts, groups)
    assert drawn.count("M") == len(counts)
    heights = [float(h) for h in re.findall(r"v-([0-9.]+)h", drawn)]
    assert all(0 <= h <= HEIGHT for h in heights) and sum(h > 0 for h in heights) == sum(n > 0 for n in counts)


def test_a_missing_path_is_an_error(tmp_path):
    with pytest.raises(LongtailError, match="is not there"):
        collect(tmp_path / "gone" / "x.csv")
