"""Subsets by the words of file names, by a column, and by folders: read as meant, noted, or refused in one line."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail import LongtailError
from longtail.data.custom import list_custom_data
from longtail.data.subset_names import find_named_subsets
from tests.data.loading import load, shard
from tests.data.pictures import class_folders, picture

NAMES = {
    "train": "train training Train-00000-of-00002 photos_train train.2017 trainSet trainset photosTrain train1 training_data",
    "val": "val valid validation dev dev-00000-of-00001 my.validation2 VAL photos-dev-01",
    "test": "test testing test1 eval evaluation holdout hold-out hold_out photos-test TEST testset Testing_Images",
    "": "contest latest trainer photos valley developer evaluate prüftest 0000 data-00000-of-00001",
}


@pytest.mark.parametrize("subset", NAMES)
def test_whole_words_of_a_name_give_the_subset(subset):
    names = NAMES[subset].split()
    assert {name: find_named_subsets(name) for name in names} == {name: {subset} - {""} for name in names}


@pytest.mark.parametrize(
    "other",
    [
        "photos-test",
        "testing",
        "test1",
        "eval",
        "evaluation",
        "holdout",
        "photosTest",
        "dev-00000-of-00001",
        "validation",
    ],
)
@pytest.mark.parametrize("train", ["train", "photos-train", "Training-00000-of-00001"])
def test_a_parquet_file_belongs_to_the_subset_that_any_word_of_its_name_says(train, other, tmp_path):
    shard(tmp_path / f"{train}.parquet", ["a", "b"] * 3)
    shard(tmp_path / f"{other}.parquet", ["a", "b"], 100)
    split = load(tmp_path)
    assert split.classes.counts == (3, 3) and split.test.images[:, 0, 0, 0].tolist() == [100, 101]


def test_files_that_name_no_subset_are_train_alone_noted_beside_test_and_refused_beside_train(tmp_path):
    shard(tmp_path / "0000.parquet", ["a", "b"] * 3)
    shard(tmp_path / "0001.parquet", ["a", "b"], 50)
    assert load(tmp_path, test_share=0.3).notes == []
    shard(tmp_path / "test.parquet", ["a", "b"], 100)
    split = load(tmp_path)
    assert split.classes.counts == (4, 4) and "0000.parquet, 0001.parquet" in split.notes[0]
    shard(tmp_path / "train.parquet", ["a", "b"], 200)
    with pytest.raises(
        LongtailError, match=r"0000.parquet names no subset, beside files that do; name train, val or test"
    ):
        load(tmp_path)


def test_a_name_of_two_subsets_is_refused(tmp_path):
    shard(tmp_path / "train-val.parquet", ["a", "b"])
    with pytest.raises(LongtailError, match=r"train-val.parquet names the subsets train and val; name one"):
        load(tmp_path)


def test_a_split_column_of_parquet_is_honored_as_in_csv(tmp_path):
    path = shard(
        tmp_path / "all.parquet", list("abababab"), split=["train"] * 4 + ["testing", "test", "dev", "validation"]
    )
    for data in (path, tmp_path):
        split = load(data)
        assert split.classes.counts == (2, 2) and len(split.val) == 2
        assert split.test.images[:, 0, 0, 0].tolist() == [4, 5] and split.test.labels.tolist() == [0, 1]
    encoded = pq.read_table(path)
    encoded = encoded.set_column(2, "Split", encoded.column("split").dictionary_encode())
    pq.write_table(encoded, path)
    assert len(load(path).test) == 2


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["train", "tset"], r"column split: unknown split 'tset'; did you mean 'test'"),
        (["train", None], r"column split has 1 rows without a subset"),
    ],
)
def test_a_faulty_split_column_of_parquet_is_refused(cells, message, tmp_path):
    with pytest.raises(LongtailError, match=message):
        load(shard(tmp_path / "a.parquet", ["a", "b"], split=cells))


def test_a_split_column_that_contradicts_the_file_name_is_refused(tmp_path):
    shard(tmp_path / "train.parquet", ["a", "b"])
    shard(tmp_path / "test.parquet", ["a", "b"], split=["test", "train"])
    with pytest.raises(
        LongtailError, match=r"test.parquet names the test subset, but its column split has rows of train"
    ):
        load(tmp_path)


def test_a_column_of_subset_names_under_another_name_is_refused(tmp_path):
    path = shard(tmp_path / "a.parquet", ["a", "b"], subset=["train", "test"])
    table = tmp_path / "a.csv"
    table.write_text("path,label,fold\nx.png,a,train\ny.png,b,valid\n")
    for data, column in ((path, "subset"), (table, "fold")):
        with pytest.raises(LongtailError, match=rf"column {column} holds names of subsets .*; rename it to split"):
            load(data)
    table.write_text("path,label,source\nx.png,a,train\ny.png,b,station\n")
    assert len(list_custom_data(str(table)).subsets["train"]) == 2


SUBSETS_AS_CLASSES = [
    ("training", "testing"),
    ("Training Set", "Test Set"),
    ("train_images", "test_images"),
    ("fold-train", "fold-val"),
    ("trainset", "testset"),
    ("train2017", "val2017"),
    ("trainval", "test"),
    ("Training", "Validation"),
]


@pytest.mark.parametrize("names", SUBSETS_AS_CLASSES)
def test_folders_named_like_subsets_are_never_classes(names, tmp_path):
    for name in names:
        class_folders(tmp_path / name, {"a": 2, "b": 2})
    with pytest.raises(LongtailError, match=r"which are named like subsets, not classes; name them train/"):
        load(tmp_path, test_share=0.2)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.json").write_text("{}")
    with pytest.raises(LongtailError, match="named like subsets"):
        load(tmp_path, test_share=0.2)


def test_flat_train_and_test_folders_are_no_classes(tmp_path):
    class_folders(tmp_path, {"train": 3, "test1": 3})
    with pytest.raises(LongtailError, match=r"holds test1/, train/, which are named like subsets"):
        load(tmp_path, test_share=0.3)


def test_a_flat_test_folder_says_to_hold_out_a_share(folder):
    flat = folder.rename(folder.with_name("flat")) / "test"
    for name in ("apple", "class9"):
        for file in (flat / name).iterdir():
            file.rename(flat / f"{name}{file.name}")
        (flat / name).rmdir()
    with pytest.raises(
        LongtailError, match=r"test holds files but no class folders, .* train on .*train alone, with --test"
    ):
        load(flat.parent)
    assert len(load(flat.parent / "train", test_share=0.2).test)


def test_a_folder_beside_train_that_names_a_subset_by_another_word_is_noted(folder):
    class_folders(folder / "testing", {"apple": 2})
    assert any("testing/ in" in note and "rename to use it" in note for note in load(folder).notes)


def test_subsets_inside_class_folders_are_refused(tmp_path):
    class_folders(tmp_path / "apple", {"train": 2, "test": 2})
    class_folders(tmp_path / "pear", {"train": 2, "test": 2}, 50)
    with pytest.raises(
        LongtailError, match=r"apple holds test/ and train/, which are named like subsets; put the subsets"
    ):
        load(tmp_path, test_share=0.2)


def test_folders_that_hold_only_class_folders_are_refused_or_noted(tmp_path):
    class_folders(tmp_path / "one" / "photos", {"a": 2, "b": 2})
    for fold in ("fold1", "fold2"):
        class_folders(tmp_path / "two" / fold, {"a": 2, "b": 2})
    for data, shown in (("one", "photos/"), ("two", "fold1/, fold2/")):
        with pytest.raises(
            LongtailError, match=f"{data} holds {shown} with only folders inside; if these are the classes"
        ):
            load(tmp_path / data, test_share=0.2)
    for name in ("class1", "class2"):
        class_folders(tmp_path / "numbers" / name, {"2020": 2, "2021": 2})
    assert load(tmp_path / "numbers", test_share=0.2).classes.names == ("class1", "class2")
    class_folders(tmp_path / "three" / "cat", {"2020": 2, "2021": 2})
    class_folders(tmp_path / "three" / "dog", {"2020": 2, "2021": 2}, 50)
    split = load(tmp_path / "three", test_share=0.2)
    assert split.classes.names == ("cat", "dog") and "lie in further folders" in split.notes[0]
    assert "if the folders inside are the classes, name one of the outer ones" in split.notes[0]


def test_folders_without_an_image_say_so(tmp_path):
    shard(tmp_path / "train" / "0000.parquet", ["a", "b"])
    (tmp_path / "b").mkdir()
    with pytest.raises(LongtailError, match="holds no image in its folders"):
        load(tmp_path, test_share=0.2)


def test_class_folders_and_a_parquet_file_of_images_are_refused_naming_both(folder):
    shard(folder / "extra.parquet", ["x", "y"])
    with pytest.raises(
        LongtailError, match=r"holds images in folders \(.*/0.png\) and in extra.parquet; move one away"
    ):
        load(folder)
    (folder / "data").mkdir()
    (folder / "extra.parquet").rename(folder / "data" / "train.parquet")
    with pytest.raises(LongtailError, match=r"and in train.parquet"):
        load(folder)


@pytest.mark.parametrize("name", ["found.parquet", "test.parquet", "found.csv", "train.parquet"])
def test_a_table_of_predictions_does_not_spoil_the_folder_that_holds_it(name, folder):
    expected = load(folder)
    table = pa.table({"path": ["a.png"], "class_1": ["apple"], "probability_1": [0.5]})
    if name.endswith(".csv"):
        (folder / name).write_text("path,class_1,probability_1\na.png,apple,0.5\n")
    else:
        pq.write_table(table, folder / name)
    split = load(folder)
    assert split.classes == expected.classes and split.digest("train") == expected.digest("train")
    assert name in split.notes[0]


def test_a_table_of_predictions_beside_parquet_files_is_skipped_with_a_note(tmp_path):
    shard(tmp_path / "train.parquet", ["a", "b"] * 3)
    for name in ("found.parquet", "test.parquet"):
        pq.write_table(pa.table({"path": ["a.png"], "class_1": ["a"], "probability_1": [0.5]}), tmp_path / name)
    split = load(tmp_path, test_share=0.3)
    assert split.notes[0].startswith("skipped in") and "found.parquet, test.parquet" in split.notes[0]
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(LongtailError, match=r"test.parquet is not a readable parquet file"):
        load(tmp_path, test_share=0.3)


def test_a_parquet_file_that_refers_to_images_in_folders_is_read(tmp_path):
    picture(tmp_path / "images" / "a.png", 5)
    rows = [{"bytes": None, "path": "images/a.png"}]
    for subset in ("train", "test"):
        pq.write_table(pa.table({"image": rows, "label": ["cat"]}), tmp_path / f"{subset}.parquet")
    assert load(tmp_path).train.images[:, 0, 0, 0].tolist() == [5]


def test_a_pipe_or_a_broken_link_among_parquet_files_is_skipped_or_named(tmp_path):
    shard(tmp_path / "train.parquet", ["a", "b"] * 3)
    os.mkfifo(tmp_path / "pipe.parquet")
    assert "pipe.parquet" in load(tmp_path, test_share=0.3).notes[0]
    os.symlink(tmp_path / "nowhere", tmp_path / "test.parquet")
    with pytest.raises(LongtailError, match=r"test.parquet is not a readable parquet file: .*No such file"):
        load(tmp_path)
    for name in ("pipe.parquet", "pipe.csv"):
        (tmp_path / name).exists() or os.mkfifo(tmp_path / name)
        with pytest.raises(LongtailError, match=f"{name} is not a regular file"):
            load(tmp_path / name)


def test_a_parquet_file_that_claims_more_rows_than_it_can_hold_is_refused_unread(tmp_path):
    nulls = pa.nulls(2_000_000, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    pq.write_table(pa.table({"image": nulls, "label": pa.nulls(2_000_000, pa.int64())}), tmp_path / "a.parquet")
    with pytest.raises(LongtailError, match=r"a.parquet claims 2,000,000 rows in [\d,]+ bytes, which cannot be images"):
        load(tmp_path / "a.parquet")
