"""The names of test images in `predictions.parquet`: files by relative paths, all others by what identifies them."""

import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.commands import app
from longtail.data import FeatureSet, ReadOptions, TensorImages, load_split
from longtail.data.catalog import shorten_path
from longtail.data.split import list_names
from longtail.runs.finished import FinishedRun
from tests.data.pictures import class_folders, encoded, noise

CLASSES = {"Chrysaora_quinquecirrha_young_stage": 3, "eel": 2}
TEST = [f"{name}/{i}.png" for name, n in CLASSES.items() for i in range(n)]


@pytest.fixture
def folder(tmp_path):
    """Write a folder of photographs with a test part."""
    class_folders(tmp_path / "fish" / "train", dict.fromkeys(CLASSES, 12))
    class_folders(tmp_path / "fish" / "test", CLASSES, first=100)
    return tmp_path / "fish"


def load(data: Path, **options):
    return load_split(str(data), None, reading=ReadOptions(**{"size": 8} | options))


@pytest.mark.parametrize("words", [[], ["--recipe", "scratch", "--net", "conv4"]])
def test_predictions_name_files_and_classes_and_no_absolute_path(words, folder, tmp_path, capsys):
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        app.main(["train", str(folder), "bc", "--epochs", "1", "--size", "32", *words, "--out", str(out)])
    assert stop.value.code == 0, capsys.readouterr().err
    rows = pq.read_table(out / "predictions.parquet").to_pylist()
    assert [row["path"] for row in rows] == [f"test/{name}" for name in TEST]
    assert [row["label_name"] for row in rows] == [name.split("/")[0] for name in TEST]
    assert [row["predicted_name"] for row in rows] == [sorted(CLASSES)[row["predicted"]] for row in rows]
    assert FinishedRun.open(out).predictions["path"].tolist() == [row["path"] for row in rows]
    assert str(tmp_path).encode() not in (out / "predictions.parquet").read_bytes()


def test_predictions_of_older_runs_without_names_still_load(folder, tmp_path):
    with pytest.raises(SystemExit):
        app.main(["train", "digits-lt", "ce", "--epochs", "1", "--out", str(tmp_path / "run")])
    file = tmp_path / "run" / "predictions.parquet"
    table = pq.read_table(file)
    assert table["path"].to_pylist()[:2] == ["image 0", "image 1"]
    pq.write_table(table.drop_columns(["path", "label_name", "predicted_name"]), file)
    (tmp_path / "run" / "manifest.json").unlink()
    assert FinishedRun.open(tmp_path / "run").predictions.keys() == {"label", "predicted", "confidence", "index"}


def test_names_stay_with_their_images_in_memory_in_files_and_as_features(folder):
    images = load(folder).test
    assert isinstance(images, TensorImages) and list_names(images) == [f"test/{name}" for name in TEST]
    assert list_names(images.take([4, 0])) == [f"test/{TEST[4]}", f"test/{TEST[0]}"]
    lazy = load(folder, size=None).test
    assert list_names(lazy.take([4, 0])) == list_names(images.take([4, 0]))
    features = FeatureSet(torch.zeros(5, 1, 2), images.labels, "", lazy.index)
    assert list_names(features.take([4, 0])) == list_names(images.take([4, 0]))
    assert list_names(replace(features, index=None))[4] == "image 4"


def test_an_image_that_is_left_out_takes_its_name_along(folder):
    (folder / "test" / TEST[1]).write_bytes(b"broken")
    images = load(folder, skip_bad=True).test
    assert list_names(images) == [f"test/{name}" for i, name in enumerate(TEST) if i != 1]


def test_absolute_paths_of_a_table_start_at_its_folder_or_at_the_folder_of_the_file(folder, tmp_path):
    table, away = folder / "list.csv", class_folders(tmp_path / "disk" / "secret", {"eel": 1}, first=300)
    rows = [f"{folder}/test/{name},{name.split('/')[0]},test" for name in TEST]
    rows += [f"{away}/eel/0.png,eel,test", *(f"train/{name}/0.png,{name},train" for name in CLASSES)]
    table.write_text("\n".join(["path,label,split", *rows]))
    assert list_names(load(table).test) == [*(f"test/{name}" for name in TEST), "eel/0.png"]


@pytest.mark.parametrize("path, folder, shown", [("a/b.png", "/x", "a/b.png"), ("/x/y/b.png", "/x/", "y/b.png"),
                                                 ("/x/y/b.png", "/z", "y/b.png"), ("/b.png", "", "b.png")])  # fmt: skip
def test_a_path_for_display_never_starts_at_the_root(path, folder, shown):
    assert shorten_path(path, folder) == shown


PATHS = {
    "unique paths": (["eel/1.png", "/home/me/eel/2.png"], ["eel/1.png", "eel/2.png"]),
    "equal paths": (["image.png", "image.png"], None),
    "a missing path": (["eel/1.png", None], None),
}


@pytest.mark.parametrize("is_struct", [True, False])
@pytest.mark.parametrize("case", PATHS)
def test_parquet_rows_are_named_by_their_paths_or_else_by_file_and_row(case, is_struct, tmp_path):
    paths, expected = PATHS[case]
    content = [encoded(noise())] * 2
    image = [{"bytes": b, "path": p} for b, p in zip(content, paths, strict=True)] if is_struct else content
    columns = {"image": image, "label": ["eel", "cod"], "split": ["train", "test"]}
    if not is_struct:
        columns["path"] = pa.array(paths, pa.string())
    pq.write_table(pa.table(columns | {"split": ["train"] * 2}), tmp_path / "train.parquet")
    pq.write_table(pa.table(columns | {"split": ["test"] * 2}), tmp_path / "test.parquet")
    assert list_names(load(tmp_path).test) == (expected or ["test.parquet, row 0", "test.parquet, row 1"])
    assert list_names(load(tmp_path).test.take([1]))[0] == (expected or ["", "test.parquet, row 1"])[1]


def test_a_name_that_is_not_utf8_is_escaped(folder):
    os.rename(folder / "test" / TEST[0], os.fsencode(folder / "test" / "eel") + b"/\xe9.png")
    assert "test/eel/\\udce9.png" in list_names(load(folder).test)
