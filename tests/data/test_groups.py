"""Groups of images, such as tracks: by a column or an expression, in one subset of every split, and kept in the run."""

import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.data.custom import ReadOptions, list_custom_data
from longtail.data.holdout import grouped_holdout
from longtail.recipes import recipe_for
from longtail.runs.files import read_json, write_json
from tests.data.loading import load, shard
from tests.data.pictures import class_folders, picture
from tests.data.tracks import FISH, write_tracks

TRACK = r"(trk\d+)_"


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Three kinds of fish in 12, 6 and 3 tracks of 6 frames, as a folder of class folders."""
    return write_tracks(tmp_path_factory.mktemp("data") / "fish_survey_2019", dict(zip(FISH, (12, 6, 3), strict=True)))


def find_names(images) -> list[str]:
    """Return the track in the name of each image."""
    return [re.search(TRACK, images.name(i))[1] for i in range(len(images))]


def listed(path, **reading):
    return list_custom_data(str(path), reading=ReadOptions(**reading))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), min_size=2, max_size=80), st.floats(0.05, 0.6))
def test_no_group_is_divided_and_every_class_keeps_an_image(pairs, share):
    labels, groups = torch.tensor([label for label, _ in pairs]), np.array([group for _, group in pairs])
    kept, held = grouped_holdout(labels, groups, share)
    assert sorted([*kept, *held]) == list(range(len(labels))) and not set(groups[kept]) & set(groups[held])
    assert set(labels[kept].tolist()) == set(labels.tolist())
    again = grouped_holdout(labels, groups, share)
    assert np.array_equal(kept, again[0]) and np.array_equal(held, again[1])


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1, max_size=6), st.floats(0.05, 0.6))
def test_groups_of_one_class_give_each_class_its_share_to_within_half_of_a_group(sizes, share):
    labels = np.repeat(np.arange(len(sizes)), [sum(part) for part in sizes])
    groups = np.repeat(np.arange(sum(map(len, sizes))), [size for part in sizes for size in part])
    held = grouped_holdout(torch.tensor(labels), groups, share)[1]
    for label, part in enumerate(sizes):
        n, out = sum(part), int((labels[held] == label).sum())
        target = min(max(round(share * n), 1), n - 1)
        assert (out > 0) == (len(part) > 1)
        assert len(part) == 1 or abs(out - target) <= max(part) / 2 or out == min(part) or n - out == min(part)


def test_rare_classes_are_in_both_parts_where_stratified_folds_would_leave_them_out():
    labels, groups = np.repeat([0, 0, 0, 0, 0, 1, 2], 4), np.repeat(np.arange(7), 4)
    labels[-4:-2] = 1  # a mixed group
    held = grouped_holdout(torch.tensor(labels), groups, 0.2)[1]
    assert set(labels[held]) == {0, 1} and len(held) == 8


@pytest.mark.parametrize("subset", ["test", "val"])
def test_an_expression_keeps_each_track_in_one_part(tracks, subset):
    listing = listed(tracks, **{f"{subset}_share": 0.3}, group=TRACK)
    train, held = (set(find_names(listing.subsets[name])) for name in ("train", subset))
    assert len(train) + len(held) == 21 and not train & held and listing.grouping == TRACK
    assert {int(label) for label in listing.subsets[subset].labels} == {0, 1, 2}
    (note,) = listing.notes
    assert note == f"21 groups of up to 6 images by --group '{TRACK}'; a group is never divided"
    plain = listed(tracks, **{f"{subset}_share": 0.3})
    assert set(find_names(plain.subsets["train"])) & set(find_names(plain.subsets[subset])) and not plain.notes


def test_both_parts_can_be_held_out_and_a_tail_is_cut_after_that(tracks):
    parts = listed(tracks, val_share=0.2, test_share=0.2, group=TRACK).subsets
    names = [set(find_names(images)) for images in parts.values()]
    assert list(parts) == ["train", "val", "test"] and sum(map(len, names)) == len(set.union(*names)) == 21
    split = load(tracks, imbalance=3, val_share=0.2, test_share=0.2, group=TRACK)
    assert split.grouping == TRACK and sorted(split.classes.counts) == [6, 11, 20]
    assert len(split.test) == len(parts["test"])


def test_images_that_do_not_match_are_counted_and_alone(tracks, tmp_path):
    folder = write_tracks(tmp_path / "more", {FISH[0]: 3, FISH[1]: 3})
    for i in range(4):
        picture(folder / FISH[0] / f"still_{i}.png", i)
    listing = listed(folder, test_share=0.25, group=TRACK)
    assert "; 4 images without a group are a group of their own each" in listing.notes[0]
    numbers = np.concatenate([images.groups for images in listing.subsets.values()])
    assert len(set(numbers)) == 6 + 4


@pytest.mark.parametrize(
    "group, words",
    [
        ("clip", "which matches no path, such as Gadus_morhua_juvenile_dorsal_view/trk000_0001.jpg"),
        (".+", "gives every image a group of its own"),
        ("(trk", "no regular expression: missing ), unterminated subpattern"),
        ("column", "there is no table with a column group"),
        ("(fish|[A-Z])", "no group can be held out for a test subset"),
    ],
)
def test_an_expression_that_groups_nothing_or_everything_is_refused(tracks, group, words):
    with pytest.raises(LongtailError, match=re.escape(words)):
        listed(tracks, test_share=0.2, group=group)


def test_a_class_in_one_group_stays_in_training_and_is_named(tmp_path):
    folder = write_tracks(tmp_path, {FISH[0]: 4, FISH[1]: 1})
    listing = listed(folder, test_share=0.3, group=TRACK)
    assert listing.notes[1] == f"1 class has no test images, as groups are not divided: {FISH[1]}"
    assert set(listing.subsets["test"].labels.tolist()) == {0}


def write_table(folder, rows, header="path,label,group"):
    (folder / "list.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "list.csv"


def test_the_column_group_of_a_table_is_used_unless_none_is_asked_for(tmp_path):
    class_folders(tmp_path, {"a_species": 8, "b_species": 8})
    rows = [f"{c}/{i}.png,{c}, haul_{i // 2} " for c in ("a_species", "b_species") for i in range(8)]
    rows[-1] = rows[-1].rpartition(",")[0] + ","  # without a group
    table = write_table(tmp_path, rows)
    listing = listed(table, test_share=0.25, group="auto")
    train, test = (set(listing.subsets[name].groups) for name in ("train", "test"))
    assert not train & test and len(train | test) == 5 and listing.grouping == "column"
    assert (
        listing.notes[0].startswith("4 groups of up to 4 images by the column group; ")
        and "; 1 image" in listing.notes[0]
    )
    plain = listed(table, test_share=0.25)
    assert plain.subsets["train"].groups is None and plain.grouping is None
    write_table(tmp_path, rows, header="path,group,group")
    with pytest.raises(LongtailError, match="has no column label"):
        listed(table)


@pytest.mark.parametrize("values", [["x", "y"] * 4, [3, 7] * 4, ["x", None, "", "y"] * 2])
def test_the_column_group_of_parquet_files_is_used(tmp_path, values):
    shard(tmp_path / "train.parquet", ["a"] * 4 + ["b"] * 4, group=values)
    shard(tmp_path / "test.parquet", ["a", "b"], 20, group=values[:1] + values[-1:])
    listing = listed(tmp_path, group="auto")
    words = ["" if value is None else str(value) for value in values]
    assert len(set(listing.subsets["train"].groups)) == len(set(words) - {""}) + words.count("")
    assert "2 groups are in both train and test, such as " in listing.notes[-1]


def test_a_column_group_of_parquet_that_cannot_name_groups_is_refused(tmp_path):
    shard(tmp_path / "numbers.parquet", ["a", "b"], group=[0.5, 1.5])
    with pytest.raises(LongtailError, match="column group is double; it must be text or whole numbers"):
        listed(tmp_path / "numbers.parquet", group="auto")
    with pytest.raises(LongtailError, match="have no paths; add a column group"):
        listed(shard(tmp_path / "plain.parquet", ["a", "b"]), group="x")


def test_an_expression_reads_the_paths_that_parquet_rows_keep(tmp_path):
    path = shard(tmp_path / "train.parquet", ["a", "b"] * 4)
    table = pq.read_table(path).to_pydict()
    images = [image | {"path": f"trk{i // 4}_{i}.png"} for i, image in enumerate(table["image"])]
    import pyarrow as pa

    pq.write_table(pa.table(table | {"image": images}), path)
    listing = listed(path, test_share=0.5, group=TRACK)
    assert sorted(len(images) for images in listing.subsets.values()) == [4, 4]


def test_a_group_in_train_and_in_a_test_part_of_the_user_is_said_in_one_line(tracks, tmp_path):
    write_tracks(tmp_path / "set" / "train", {FISH[0]: 5, FISH[1]: 3})
    write_tracks(tmp_path / "set" / "test", {FISH[0]: 2, FISH[1]: 5}, frames=2, first=3)
    notes = load(tmp_path / "set", group=TRACK).notes
    assert notes[1] == (
        "5 groups are in both train and test, such as 'trk003': 10 of 14 test images have relatives in train, which "
        "inflates test accuracy"
    )
    assert len(notes) == 2 and not load(tmp_path / "set").notes


@pytest.mark.parametrize("data", ["digits-lt", "cifar10-lt"])
def test_known_sets_without_paths_refuse_groups(data):
    with pytest.raises(LongtailError, match="group is of images with paths"):
        recipe_for(data, group=TRACK).load_split()


FAST = {"net": "conv4", "size": 8, "epochs": 1, "recipe": "scratch", "threads": 1, "test_share": 0.3}


def test_a_run_keeps_its_grouping_so_that_resume_and_evaluate_agree(tracks, tmp_path, capsys):
    model = longtail.train(tracks, "ce", out=tmp_path / "run", group=TRACK, **FAST)
    assert model.recipe.group == TRACK and not set(model.run.split["classes"]) ^ set(FISH)
    found = model.evaluate(model.run.load_data()).results(model.train_counts)
    assert found["plain"] == model.results["plain"]
    with pytest.raises(LongtailError, match=r"group is .* there and None here"):
        longtail.train(tracks, "ce", out=tmp_path / "run", resume=True, **FAST)
    longtail.train(tracks, "ce", out=tmp_path / "run", resume=True, group=TRACK, **FAST)
    with pytest.raises(SystemExit) as stop:
        app.main(["evaluate", str(tmp_path / "run")])
    assert stop.value.code == 0


def test_a_run_on_a_column_keeps_it_and_a_run_of_before_keeps_its_undivided_split(tmp_path):
    class_folders(tmp_path, {"a": 12, "b": 12})
    table = write_table(tmp_path, [f"{c}/{i}.png,{c},haul_{i // 3}" for c in "ab" for i in range(12)])
    run = longtail.train(table, "ce", out=tmp_path / "run", **FAST).run
    assert run.recipe.group == "column" and len(run.load_data().test) == run.split["test_images"] == 6
    old = longtail.train(table, "ce", out=tmp_path / "old", group="none", **FAST).run
    assert old.recipe.group is None and old.split["test_images"] == 8
    values = read_json(tmp_path / "old" / "recipe.json")
    values.pop("group")  # as version 0.1 wrote it
    write_json(tmp_path / "old" / "recipe.json", values)
    (tmp_path / "old" / "manifest.json").unlink()
    assert len(longtail.load(tmp_path / "old").run.load_data().test) == 8
