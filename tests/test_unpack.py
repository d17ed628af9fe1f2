"""Training images of parquet files are copied once, so that reading them in any order costs no group of rows each."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from longtail import LongtailError, unpack
from longtail.commands.app import main
from longtail.data import parquet
from longtail.distributed import SINGLE_PROCESS
from longtail.launch import train
from longtail.recipe import Recipe
from longtail.recipes import recipe_for
from longtail.stages import build_loader
from longtail.tracking import SilentReport
from longtail.unpack import unpack_training_images
from tests.data.pictures import encoded

GROUPS, ROWS = 8, 5


@pytest.fixture
def folder(tmp_path):
    """Parquet files of 40 training images in 8 groups of rows, every other one by its path, and of 9 test images."""
    rng, root = np.random.default_rng(0), tmp_path / "data"
    root.mkdir()
    for subset, n in (("train", GROUPS * ROWS), ("test", 9)):
        images = []
        for i in range(n):
            picture = Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8))
            picture.save(root / f"{subset}{i}.png")
            is_beside = subset == "train" and i % 2
            images.append({"bytes": None if is_beside else encoded(picture), "path": f"{subset}{i}.png"})
        table = pa.table({"image": images, "label": [i % 3 for i in range(n)]})
        pq.write_table(table, root / f"{subset}.parquet", row_group_size=ROWS)
    return root


class Notes(SilentReport):
    """A report that keeps its notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def build_recipe(folder) -> Recipe:
    options = {"net": "test_resnet", "views": "imagenet-32", "epochs": 1, "batch_size": 10, "eval_every": 0}
    return recipe_for(str(folder), "scratch").change(method="ce", **options)


def unpacked(folder, cache, report=None):
    split = build_recipe(folder).load_split(workers=0)
    return unpack_training_images(split, cache, report or SilentReport(), SINGLE_PROCESS)


def read_epoch(recipe, split) -> list[tuple[torch.Tensor, torch.Tensor]]:
    method = recipe.build_method(split.classes.counts)
    loader = build_loader(recipe, method, split, SINGLE_PROCESS)
    chunks = [chunk for (chunk,) in loader.epoch(0)]
    batches = [chunk.batch(i, torch.zeros(())) for chunk in chunks for i in range(len(chunk))]
    return [(batch.views[0], batch.y) for batch in batches]


def test_batches_are_equal_and_each_group_is_read_once(folder, tmp_path, monkeypatch):
    recipe = build_recipe(folder)
    split = recipe.load_split(workers=0)
    expected = read_epoch(recipe, split)
    parquet.clear_caches()
    reads, read_column = [], parquet.read_column
    monkeypatch.setattr(parquet, "read_column", lambda *of: reads.append(of) or read_column(*of))
    copied = unpack_training_images(split, tmp_path / "cache", SilentReport(), SINGLE_PROCESS)
    assert len(reads) == GROUPS
    for (view, y), (other_view, other_y) in zip(read_epoch(recipe, copied), expected, strict=True):
        assert view.equal(other_view) and y.equal(other_y)
    assert len(reads) == GROUPS
    assert copied.train.digest() == split.train.digest()


def test_parts_of_the_copied_images_are_the_right_ones(folder, tmp_path):
    copied, split = unpacked(folder, tmp_path / "cache"), build_recipe(folder).load_split(workers=0)
    rows = [31, 2, 17]
    for i, row in enumerate(rows):
        assert copied.train.take(rows).index.source(i) == split.train.index.source(row)
        assert copied.train.take(rows).name(i) == split.train.name(row)


def test_a_second_run_uses_the_copy_and_a_changed_file_is_copied_anew(folder, tmp_path):
    first, second, third = Notes(), Notes(), Notes()
    unpacked(folder, tmp_path / "cache", first)
    unpacked(folder, tmp_path / "cache", second)
    assert "are copied from parquet to" in first.notes[0] and not second.notes
    os.utime(folder / "train.parquet", ns=(1, 1))
    unpacked(folder, tmp_path / "cache", third)
    assert third.notes and len(list((tmp_path / "cache" / unpack.FOLDER).iterdir())) == 2


@pytest.mark.parametrize("length", [0, 100])
def test_a_damaged_copy_is_written_again(length, folder, tmp_path):
    unpacked(folder, tmp_path / "cache")
    (copy,) = (tmp_path / "cache" / unpack.FOLDER).iterdir()
    unpack.open_copy.cache_clear()
    copy.write_bytes(copy.read_bytes()[:length])
    report = Notes()
    images = unpacked(folder, tmp_path / "cache", report).train
    assert report.notes and images.read(3).size == (40, 40)


def test_few_groups_of_rows_are_not_copied(folder, tmp_path):
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table, folder / "train.parquet", row_group_size=GROUPS * ROWS)
    unpacked(folder, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_is_reported_before_anything_is_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(LongtailError, match=r"0\.0 GB are free; --cache names another folder"):
        unpacked(folder, tmp_path / "cache")
    assert not list((tmp_path / "cache" / unpack.FOLDER).iterdir())


def test_a_run_trains_on_the_copy_which_the_cache_command_lists_and_clears(folder, tmp_path, capsys):
    train(build_recipe(folder), tmp_path / "run", SilentReport(), cache=tmp_path / "cache", workers=2, device="cpu")
    (tmp_path / "cache" / unpack.FOLDER / ".x.arrow.1.tmp").write_bytes(b"of a killed run")
    for flags, expected in (([], "MB of training images, copied from parquet"), (["--clear"], "MB of images from")):
        with pytest.raises(SystemExit, match="0"):
            main(["cache", "--cache", str(tmp_path / "cache"), *flags])
        assert expected in " ".join(capsys.readouterr().out.split())
    assert not list((tmp_path / "cache" / unpack.FOLDER).iterdir())
