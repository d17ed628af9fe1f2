"""Custom images from folders: subsets, classes by name, faults."""

import json
import os
import re
import unicodedata

import pytest
import torch
from PIL import Image

from longtail import LongtailError
from longtail.data import LazyImages, TensorImages, memory
from longtail.data.custom import list_custom_data
from longtail.data.sources import format_data_name
from tests.data.loading import load
from tests.data.pictures import bad_files, class_folders, encoded, noise, picture


def test_a_folder_of_subsets_is_read_with_classes_in_natural_order(folder):
    split = load(folder)
    assert split.name == "set" and split.classes.names == ("apple", "class9", "class10")
    assert split.classes.counts == (12, 6, 1) and split.test.labels.tolist() == [0, 0, 1, 1, 1]
    assert split.train.images.shape == (19, 3, 8, 8) and split.val is None
    assert split.train.images[:, 0, 4, 4].tolist() == [
        *range(7, 19),
        *range(1, 7),
        0,
    ]  # in the order of names, 9 before 10


def test_hidden_files_and_those_of_file_managers_are_no_images(folder):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
        (folder / "train" / "apple" / name).write_bytes(b"x")
        (folder / "train" / name).write_bytes(b"x")
    (folder / "train" / "@eaDir").mkdir()
    (folder / "train" / "apple" / "@eaDir").mkdir()
    (folder / "train" / "apple" / "@eaDir" / "thumb.jpg").write_bytes(b"x")
    assert load(folder).classes.counts == (12, 6, 1)


def test_other_files_are_skipped_and_counted_but_an_image_may_have_any_name(folder):
    apple = folder / "train" / "apple"
    picture(apple / "12.05.2026", 99)
    picture(apple / "without extension", 98)
    (apple / "sub").mkdir()
    for name in (
        "apple/notes.txt",
        "apple/data.csv",
        "apple/README",
        "apple/sub/v.mp4",
        "class9/side.xmp",
        "beside.png",
    ):
        (folder / "train" / name).write_text("no image")
    (folder / "LICENSE.md").write_text("no image")
    split = load(folder)
    assert split.classes.counts == (14, 6, 1)
    (note,) = split.notes
    assert note.startswith(f"skipped 7 in {folder}, which are not images in class folders: LICENSE.md, ")
    assert "train/apple/README" in note and note.endswith(" and 2 more")
    (note,) = load(folder / "train", test_share=0.2).notes
    assert note.startswith(f"skipped 6 in {folder / 'train'}")


def test_a_fifth_of_a_set_without_test_images_is_held_out_as_test_share_does(folder):
    split = load(folder / "train", default_test_share=0.2, val_share=0.1)
    asked = load(folder / "train", test_share=0.2, val_share=0.1)
    assert split.describe() == asked.describe() and split.test_share == asked.test_share == 0.2
    assert torch.bincount(split.test.labels, minlength=3).tolist() == [2, 1, 0]
    whole = load(folder, default_test_share=0.2)
    assert whole.test_share == 0 and len(whole.test) == 5, "a test subset is never divided"


def test_a_test_share_leaves_each_class_an_image(folder):
    with pytest.raises(LongtailError, match=r"data set 'train' has no test subset; --test-share 0.2 holds"):
        load(folder / "train")
    split, again = (load(folder / "train", test_share=0.25, val_share=0.1) for _ in range(2))
    assert torch.bincount(split.test.labels, minlength=3).tolist() == [3, 2, 0]
    assert torch.bincount(split.val.labels, minlength=3).tolist() == [1, 1, 0] and split.classes.counts == (8, 3, 1)
    assert torch.equal(split.test.images, again.test.images) and split.describe() == again.describe()
    seen = torch.cat([subset.images[:, 0, 0, 0] for subset in split.subsets.values()]).tolist()
    assert sorted(seen) == list(range(19))
    with pytest.raises(LongtailError, match="has a test subset already; leave --test-share out"):
        load(folder, test_share=0.2)


def test_a_subset_may_have_its_own_path_and_val_serves_as_test_where_there_is_none(folder):
    apart = folder.rename(folder.with_name("apart")) / "test"
    assert len(load(apart.parent / "train", test=str(apart)).test) == 5
    apart.rename(apart.parent / "val")
    split = load(apart.parent)
    assert len(split.test) == 5 and split.val is None and "used for testing" in split.notes[0]
    assert len(load(apart.parent, val_share=0.2).val) == 3


def test_classes_that_train_lacks_are_named_with_the_nearest(folder):
    class_folders(folder / "test", {"aple": 1, "dog": 1})
    with pytest.raises(LongtailError, match=r"test subset has 2 classes .* 'aple' \(did you mean 'apple'\?\), 'dog'"):
        load(folder)
    (folder / "train" / "aple").mkdir()
    (folder / "train" / "dog").mkdir()
    assert "aple" in load(folder).classes.notes()[0]


def test_an_image_that_fails_only_when_decoded_is_left_out_of_streamed_sets_if_asked(folder, monkeypatch):
    monkeypatch.setattr("longtail.data.memory.MEMORY_LIMIT", 10)
    whole = encoded(noise(), "PNG")
    damaged = whole[:600] + bytes(200) + whole[800:]  # header and end are good
    (folder / "train" / "apple" / "damaged.png").write_bytes(damaged)
    assert load(folder).classes.counts == (13, 6, 1), "only decoding tells"
    for size in (8, None):
        split = load(folder, skip_bad=True, size=size)
        assert isinstance(split.train, LazyImages) and split.classes.counts == (12, 6, 1)
        assert any("1 unreadable image left out" in note and "damaged.png" in note for note in split.notes)
        assert split.digest("train") == load(folder, skip_bad=True, size=size).digest("train")


def test_names_are_equal_whatever_unicode_form_and_kept_apart_by_case(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Café au lait") for form in ("NFC", "NFD"))
    class_folders(tmp_path / "train", {composed: 3, "dog": 2, "Dog": 1})
    class_folders(tmp_path / "test", {decomposed: 2})
    split = load(tmp_path)
    assert split.classes.names == (composed, "Dog", "dog") and split.classes.counts == (3, 1, 2)
    assert split.test.labels.tolist() == [0, 0] and any("'Dog' and 'dog'" in note for note in split.notes)


def test_links_are_followed_but_not_in_circles(folder):
    os.symlink(folder, folder / "train" / "apple" / "up")
    os.symlink(folder / "train" / "apple", folder / "train" / "apple" / "self")
    os.symlink(folder / "test" / "apple", folder / "train" / "class10" / "more")
    assert load(folder).classes.counts == (12, 6, 3)


def test_a_class_may_be_called_train(tmp_path):
    class_folders(tmp_path, {"train": 3, "test": 3, "plane": 3})
    assert load(tmp_path, test_share=0.3).classes.names == ("plane", "test", "train")


def test_folders_without_classes_say_what_is_expected(tmp_path):
    with pytest.raises(LongtailError, match="holds no class folders; an image's class is"):
        load(tmp_path)
    picture(tmp_path / "a.png")
    with pytest.raises(LongtailError, match="holds no class folders"):
        load(tmp_path)
    with pytest.raises(LongtailError, match="gone is not there"):
        load(tmp_path / "gone")


def test_all_unreadable_images_are_named_at_once_and_skipped_only_on_request(folder):
    reasons = bad_files(folder / "train" / "apple")
    (folder / "test" / "apple" / "photo.heic").write_bytes(b"a photograph, but not for Pillow")
    with pytest.raises(LongtailError, match=r"9 of 33 images of set cannot be read: .* --skip-bad") as caught:
        load(folder)
    assert "\n" not in str(caught.value) and "photo.heic" in str(caught.value)
    assert all(re.search(f"{name}: [^;]*{why}", str(caught.value)) for name, why in reasons.items())
    split = load(folder, skip_bad=True)
    assert split.classes.counts == (12, 6, 1) and len(split.test) == 5
    assert any(note.startswith("9 unreadable images left out") for note in split.notes)


def test_more_bad_images_than_fit_a_message_are_counted_and_no_more_is_kept(folder, monkeypatch):
    for i in range(30):
        (folder / "train" / "apple" / f"bad{i}.jpg").write_bytes(b"x")
    with pytest.raises(LongtailError, match=r"30 of 54 .* and 10 more, which `longtail inspect` lists"):
        load(folder)
    monkeypatch.setattr("longtail.data.memory.MAX_KEPT", 25)
    _, errors = memory.decode_all(list_custom_data(str(folder)).subsets["train"], 8)
    assert len(errors) == 30 and len(errors.first) == 25 and errors.first[0].__traceback__ is None


def test_an_imbalance_cuts_a_tail_from_a_balanced_set(tmp_path):
    class_folders(tmp_path / "train", {f"c{i}": 20 for i in range(5)})
    class_folders(tmp_path / "test", {f"c{i}": 2 for i in range(5)}, first=100)
    assert load(tmp_path, imbalance=10).classes.counts == (20, 11, 6, 3, 2)
    assert load(tmp_path).classes.counts == (20,) * 5


def test_a_set_too_large_for_memory_stays_in_its_files(folder, monkeypatch):
    small = load(folder)
    monkeypatch.setattr("longtail.data.memory.MEMORY_LIMIT", 10)
    split = load(folder)
    assert (
        isinstance(small.train, TensorImages) and isinstance(split.train, LazyImages) and split.classes == small.classes
    )
    assert split.train.read(0).size == (12, 10) and "apple" in split.train.name(0)
    assert split.describe()["image_shape"] is None and split.digest("train") == load(folder).digest("train")
    before = split.digest("train")
    picture(folder / "train" / "apple" / "0.png", 99, size=(60, 60))
    assert load(folder).digest("train") != before

    (folder / "train" / "apple" / "0.png").write_bytes(b"x")
    with pytest.raises(LongtailError, match="1 of 24 images"):
        load(folder)


def test_names_of_any_bytes_spaces_and_three_thousand_classes(tmp_path):
    names = [f"Klasse {i} 猫 🐈 [b]" for i in range(2998)] + ["a" * 200]
    content = encoded(Image.new("RGB", (8, 8)))
    for subset in ("train", "test"):
        for name in names:
            (tmp_path / "a b" / subset / name).mkdir(parents=True)
            (tmp_path / "a b" / subset / name / "ein bild.png").write_bytes(content)
        odd = os.fsencode(tmp_path / "a b" / subset) + b"/caf\xe9"
        os.mkdir(odd)
        with open(odd + b"/\xff.png", "wb") as file:
            file.write(content)
    split = load(tmp_path / "a b")
    assert len(split.classes) == 3000 and set(split.classes.counts) == {1} and len(split.test) == 3000
    assert split.classes.names.index("Klasse 10 猫 🐈 [b]") - split.classes.names.index("Klasse 9 猫 🐈 [b]") == 1
    json.dumps(split.describe(), ensure_ascii=False).encode()
    assert (
        format_data_name(str(tmp_path / "a b")) == "a-b"
        and format_data_name("/x/v1.2") == "v1.2"
        and format_data_name("/x/a.csv") == "a"
    )


def test_a_listing_reads_no_image(folder):
    (folder / "train" / "apple" / "0.png").write_bytes(b"")
    listing = list_custom_data(str(folder))
    assert list(listing.subsets) == ["train", "test"]
    assert listing.subsets["train"].take([3, 1]).name(1) == listing.subsets["train"].name(1)
