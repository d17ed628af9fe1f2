"""Images that stand more than once in a data set are told; tables with stray quotes are refused."""

import shutil

import pytest

from longtail import LongtailError
from longtail.data import load_split
from longtail.inference.images import read_path_list
from tests.data.loading import load, shard
from tests.data.pictures import class_folders, picture


@pytest.fixture
def photos(tmp_path):
    """Write six images of two classes, and return their folder."""
    for i in range(6):
        picture(tmp_path / "p" / ("ant" if i < 4 else "bee") / f"{i}.png", i)
    return tmp_path / "p"


def write_table(file, photos, columns="path,label,note", last="x"):
    """Write a table of the photos, each with a last cell."""
    paths = sorted(photos.glob("*/*.png"))
    file.write_text("\n".join([columns, *(f"{path},{path.parent.name},{last}" for path in paths)]) + "\n")
    return file


def test_training_images_among_the_test_images_are_told(photos, tmp_path):
    told = "6 of 6 test images are in train too"
    assert any(told in note for note in load(photos, test=str(photos)).notes)
    folder = tmp_path / "linked"
    shutil.copytree(photos, folder / "train")
    (folder / "test").symlink_to("train")
    assert any(told in note for note in load(folder).notes)
    lines = [f"{path},{path.parent.name},{subset}" for path in photos.glob("*/*.png") for subset in ("train", "test")]
    (tmp_path / "a.csv").write_text("\n".join(["path,label,split", *lines, lines[0]]))
    notes = load(tmp_path / "a.csv").notes
    assert any(told in note for note in notes) and any("lists 1 images more than once" in note for note in notes)
    shard(tmp_path / "q" / "train.parquet", ["a", "b"])
    assert any("2 of 2 test" in n for n in load(tmp_path / "q", test=str(tmp_path / "q" / "train.parquet")).notes)


def test_different_images_are_no_repeats(photos, tmp_path):
    folder = tmp_path / "set"
    class_folders(folder / "train", {"a": 3, "b": 2})
    class_folders(folder / "test", {"a": 1, "b": 1}, first=9)
    assert not [note for note in load(folder).notes if "same files" in note]
    assert not [note for note in load_split("digits-lt", 50).notes if "same files" in note]


@pytest.mark.parametrize("cell", ['"5in', '"5in "x"', '"two\nlines"'])
def test_a_stray_quote_in_a_table_is_named_with_its_line_and_loses_no_row(photos, tmp_path, cell):
    table = write_table(tmp_path / "a.csv", photos)
    lines = table.read_text().splitlines()
    lines[2] = lines[2][:-1] + cell
    table.write_text("\n".join(lines))
    with pytest.raises(LongtailError, match=r"a.csv, line 3: .*quote"):
        load(table, test_share=0.5)
    with pytest.raises(LongtailError, match=r"a.csv, line 3: .*quote"):
        list(read_path_list(table))


def test_a_quoted_cell_with_a_comma_and_a_doubled_quote_is_read(photos, tmp_path):
    table = write_table(tmp_path / "a.csv", photos, last='"5"" wide, red"')
    assert load(table, test_share=0.25).classes.names == ("ant", "bee") and len(list(read_path_list(table))) == 6


def test_a_list_for_prediction_is_refused_as_a_table_for_training_is(photos, tmp_path):
    for text, line in {
        "path,path\na,b\n": "more than one column path",
        "path,note\na\n": "line 2: 1 columns, but the header names 2",
        "name\na\n": "no column path",
    }.items():
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(LongtailError, match=line):
            list(read_path_list(tmp_path / "a.csv"))


def test_a_word_for_a_missing_value_is_no_group(photos, tmp_path):
    table = write_table(tmp_path / "a.csv", photos, columns="path,label,group", last="nan")
    assert len(load(table, test_share=0.5).test) == 3  # one group of all images of a class could not be divided


def test_labels_that_are_one_number_are_told(photos, tmp_path):
    names = ["1", "1.0", "01", "-1", "x", "x"]
    rows = [f"{path},{name}" for path, name in zip(sorted(photos.glob("*/*.png")), names, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["path,label", *rows]))
    notes = " ".join(load(tmp_path / "a.csv", test_share=0.5).notes)
    assert "the same number are kept apart" in notes and "'01' and '1' and '1.0'" in notes
    assert "'-1' (1 images) may stand for a missing label" in notes


def test_a_test_folder_beside_class_folders_is_no_silent_class(photos):
    shutil.copytree(photos, photos / "test")
    with pytest.raises(LongtailError, match=r"test/ beside class folders, with folders of the same names"):
        load(photos, test_share=0.5)
    shutil.rmtree(photos / "test")
    picture(photos / "test" / "0.png", 9)
    assert any("test/ in" in note and "is a class here" in note for note in load(photos, test_share=0.5).notes)


def test_class_folders_with_a_dot_in_front_are_told(photos):
    (photos / "bee").rename(photos / ".NET")
    picture(photos / "cat" / "0.png", 9)
    picture(photos / "cat" / "1.png", 8)
    assert any(".NET/ in" in note and "left out" in note for note in load(photos, test_share=0.5).notes)


def test_parquet_files_with_and_without_class_names_are_not_mixed(tmp_path):
    import json

    import pyarrow.parquet as pq

    shard(tmp_path / "train-0.parquet", [0, 1])
    shard(tmp_path / "train-1.parquet", [0, 1], first=9)
    names = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["a", "b"]}}}})}
    pq.write_table(
        pq.read_table(tmp_path / "train-0.parquet").replace_schema_metadata(names), tmp_path / "train-0.parquet"
    )
    with pytest.raises(LongtailError, match=r"train-1.parquet has numbers as labels and names no classes"):
        load(tmp_path, test_share=0.5)


def test_parquet_files_in_two_places_are_refused(tmp_path):
    shard(tmp_path / "train.parquet", ["a", "b"])
    shard(tmp_path / "data" / "test.parquet", ["a", "b"])
    with pytest.raises(LongtailError, match=r"holds train.parquet, and .*data holds test.parquet"):
        load(tmp_path)


def test_a_sibling_list_is_found_in_any_case(photos, tmp_path):
    write_table(tmp_path / "Train.csv", photos)
    write_table(tmp_path / "Test.csv", photos)
    assert len(load(tmp_path / "Train.csv").test) == 6
