"""`longtail label`: images of a pool that are uncertain, rare and unlike each other, and none that the run knows."""

import csv
import math
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import longtail
from longtail.commands import app
from longtail.inspection.labeling import choose_images, compute_margins, compute_rarity, compute_scores
from longtail.inspection.seen import find_known_images
from tests.data.pictures import colored_photos


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on the digits, whose images are in memory and in no files."""
    out = tmp_path_factory.mktemp("label") / "run"
    longtail.train("digits-lt", "ecl", out=out, epochs=3, eval_every=0, experts=2, device="cpu", threads=1)
    return out


def save(pixels: torch.Tensor, path) -> None:
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)


@pytest.fixture
def pool(tmp_path):
    """Sixty images like the digits, none of which the run knows."""
    folder = tmp_path / "pool"
    folder.mkdir()
    for i, image in enumerate(longtail.data.load_split("digits-lt", 50.0).test.images[:300:5]):
        save(image.flip(-1).clone(), folder / f"{i:02d}.png")
    return folder


def label(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        app.main(["label", *map(str, words)])
    return stop.value.code


def test_scores_are_those_of_a_naive_loop():
    probabilities, counts = (
        torch.rand(20, 5, generator=torch.Generator().manual_seed(0)).softmax(-1),
        [100, 30, 9, 2, 0],
    )
    for row, margin, rarity, score in zip(
        probabilities.tolist(),
        compute_margins(probabilities).tolist(),
        compute_rarity(probabilities, counts).tolist(),
        compute_scores(probabilities, counts).tolist(),
        strict=True,
    ):
        first, second = sorted(row, reverse=True)[:2]
        rare = sum(p * (1 - math.log(1 + n) / math.log(101)) for p, n in zip(row, counts, strict=True))
        assert (margin, rarity) == pytest.approx((first - second, rare), abs=1e-6)
        assert score == pytest.approx((1 - margin) * rarity, abs=1e-6)


def test_an_image_of_the_largest_class_has_no_rarity_and_a_class_without_images_the_most():
    assert compute_rarity(torch.eye(3), [50, 5, 0]).tolist() == pytest.approx([0, 1 - math.log(6) / math.log(51), 1])


def test_chosen_images_are_of_high_score_and_unlike_each_other():
    """Two groups of equal images of high score, and many others of none: one of each group is chosen."""
    features = torch.cat([torch.tensor([[1.0, 0.0]]).repeat(20, 1), torch.tensor([[0.0, 1.0]]).repeat(20, 1)])
    features = torch.cat([features, -torch.eye(2).repeat(30, 1)])
    scores = torch.cat([torch.full((40,), 0.9), torch.zeros(60)])
    for seed in range(5):
        chosen = choose_images(features, scores, 2, seed)
        assert sorted(np.array([0, 1, 2])[np.digitize(chosen, [20, 40])]) == [0, 1]


def test_images_are_distinct_even_if_all_look_alike():
    chosen = choose_images(torch.ones(6, 3), torch.ones(6), 6)
    assert sorted(chosen.tolist()) == list(range(6))


def test_the_table_and_the_page_hold_the_chosen_images_the_best_first(run, pool, tmp_path, capsys):
    out = tmp_path / "next.csv"
    assert label(run, pool, "--n", 20, "--out", out) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = [float(row["score"]) for row in rows]
    assert len({row["path"] for row in rows}) == 20 and scores == sorted(scores, reverse=True)
    for row in rows:
        assert float(row["score"]) == pytest.approx((1 - float(row["margin"])) * float(row["rarity"]), abs=2e-4)
        assert float(row["margin"]) == pytest.approx(
            float(row["probability"]) - float(row["second_probability"]), abs=2e-4
        )
    page = out.with_suffix(".html").read_text()
    assert page.count("<img ") == 20 and "default-src 'none'" in page and str(tmp_path) not in page
    assert "20 of 60 images" in capsys.readouterr().out


def test_the_same_seed_chooses_the_same_images(run, pool, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert label(run, pool, "--n", 10, "--seed", seed, "--out", tmp_path / f"{name}.csv") == 0
    a, b, c = ((tmp_path / f"{name}.csv").read_text() for name in "abc")
    assert a == b and a != c


def test_images_that_the_run_knows_are_left_out_and_counted(run, pool, tmp_path, capsys):
    split = longtail.data.load_split("digits-lt", 50.0)
    for i in range(3):
        save(split.train.images[i], pool / f"train{i}.png")
    save(split.test.images[0], pool / "test.png")
    assert label(run, pool, "--n", 60, "--out", tmp_path / "next.csv") == 0
    shown = capsys.readouterr().out
    assert "left out 3 images of the pool: the content is that of training images of the run" in shown
    assert "left out 1 image of the pool: the content is that of test images of the run" in shown
    table = (tmp_path / "next.csv").read_text()
    assert "train0" not in table and "test.png" not in table
    assert "left out 3 images" in (tmp_path / "next.html").read_text()


def test_images_of_a_known_set_are_known_by_their_pixels_also_where_they_are_read_one_by_one(tmp_path):
    split = longtail.data.load_split("digits-lt", 50.0)
    names = [str(tmp_path / f"{i}.png") for i in range(3)]
    for i, name in enumerate(names):
        save((split.test if i == 2 else split.train).images[i], name)
    save(255 - split.train.images[0], tmp_path / "new.png")
    for given in (split, longtail.data.leave_in_files(split)):
        assert find_known_images([*names, str(tmp_path / "new.png")], given) == ["train", "train", "test", None]


def test_files_that_rows_of_parquet_name_are_known(tmp_path):
    photos = colored_photos(tmp_path / "photos", (4, 3), (2, 2))
    (tmp_path / "set").mkdir()
    for subset in ("train", "test"):
        paths = sorted((photos / subset).rglob("*.png"))
        rows = [{"image": {"bytes": None, "path": str(path)}, "label": path.parent.name} for path in paths]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set" / f"{subset}.parquet")
        shutil.copy(paths[0], tmp_path / f"copy-{subset}.png")
    split = longtail.data.load_split(str(tmp_path / "set"), None)
    copies = [str(tmp_path / f"copy-{subset}.png") for subset in ("train", "test")]
    assert find_known_images(copies, split) == ["train", "test"]


def test_files_are_known_by_their_bytes_under_any_name(tmp_path):
    photos = colored_photos(tmp_path / "photos", (4, 3), (2, 2))
    split = longtail.data.load_split(str(photos), None)
    copies = [photos / "train" / "class0" / "1.png", photos / "test" / "class1" / "0.png"]
    paths = [shutil.copy(path, tmp_path / f"copy{i}.png") for i, path in enumerate(copies)]
    Image.new("RGB", (9, 9)).save(tmp_path / "new.png")
    (tmp_path / "broken.png").write_text("no image")
    names = [*map(str, paths), str(tmp_path / "new.png"), str(tmp_path / "broken.png"), str(tmp_path / "missing.png")]
    assert find_known_images(names, split) == ["train", "test", None, None, None]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--n", "61"], "--n is 61, and 60 of the 60 images of the pool can be chosen; take --n 60 or less"),
        (["--n", "0"], "--n is 0; it must be at least 1"),
        (["--out", "next.txt"], "must end in .csv"),
    ],
)
def test_bad_numbers_and_names_are_one_line(run, pool, tmp_path, capsys, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert label(run, pool, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not list(tmp_path.glob("*.html"))


def test_empty_pools_and_pools_of_known_images_are_one_line(run, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert label(run, tmp_path / "empty") == 2 and "empty holds no images" in capsys.readouterr().err
    assert label(run) == 2 and "name the unlabeled images" in capsys.readouterr().err
    save(longtail.data.load_split("digits-lt", 50.0).train.images[0], tmp_path / "empty" / "known.png")
    assert label(run, tmp_path / "empty", "--n", 1, "--out", tmp_path / "a.csv") == 2
    assert (
        "0 of the 1 images of the pool can be chosen, as 1 are images of the run; name another pool"
        in capsys.readouterr().err
    )


def test_unreadable_images_are_named_and_an_existing_table_stays(run, pool, tmp_path, capsys):
    (pool / "broken.png").write_text("no image")
    out = tmp_path / "next.csv"
    assert label(run, pool, "--n", 5, "--out", out) == 3
    assert "broken.png" in capsys.readouterr().err and len(out.read_text().splitlines()) == 6
    before = out.read_text()
    assert label(run, pool, "--n", 6, "--out", out) == 2
    assert "exists already and is left as it is; choose another --out" in capsys.readouterr().err
    assert out.read_text() == before


def test_a_run_whose_images_are_gone_says_that_it_did_not_compare(tmp_path, pool, capsys):
    photos = colored_photos(tmp_path / "photos", (8, 6), (2, 2))
    run = tmp_path / "run"
    longtail.train(photos, "bc", recipe="scratch", net="conv4", out=run, epochs=1, size=16, device="cpu", threads=1)
    shutil.rmtree(photos)
    assert label(run, pool, "--n", 5, "--out", tmp_path / "next.csv") == 0
    assert "the pool was not compared with the images of the run" in capsys.readouterr().out
