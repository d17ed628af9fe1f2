"""ImageNet-LT and iNaturalist 2018 by their published lists."""

import pytest

from longtail import LongtailError
from longtail.data import ReadOptions, load_split, published
from tests.data.pictures import picture


def test_the_shared_lists_are_the_published_ones(shared):
    for lists in published.LISTS.values():
        for file, expected in lists.values():
            path = shared / "splits" / file
            assert not path.exists() or published.git_blob_hash(path) == expected


def test_lists_are_checked_and_images_found_below_the_root(tmp_path, monkeypatch):
    reading = ReadOptions(size=8)
    with pytest.raises(LongtailError, match=r"imagenet-lt needs --root: .* ImageNet_LT_train.txt"):
        load_split("imagenet-lt", None, None, reading)
    with pytest.raises(LongtailError, match=r"ImageNet_LT_train.txt is missing; --root of imagenet-lt holds"):
        load_split("imagenet-lt", None, str(tmp_path), reading)
    for subset, labels in {"train": [0, 0, 10, 9], "test": [10, 0]}.items():
        for i in range(len(labels)):
            picture(tmp_path / subset / f"{i}.png", i)
        lines = [f"{subset}/{i}.png {label}" for i, label in enumerate(labels)]
        (tmp_path / f"ImageNet_LT_{subset}.txt").write_text("\n".join(lines))
    with pytest.raises(
        LongtailError, match=r"train.txt is not the published list: git hash-object says [0-9a-f]{40}, not a063"
    ):
        load_split("imagenet-lt", None, str(tmp_path), reading)
    unchecked = {subset: (file, "-") for subset, (file, _) in published.LISTS["imagenet-lt"].items()}
    monkeypatch.setitem(published.LISTS, "imagenet-lt", unchecked)
    monkeypatch.setattr(published, "git_blob_hash", lambda path: "-")
    split = load_split("imagenet-lt", None, str(tmp_path), reading)
    assert split.classes.names == ("0", "9", "10") and split.classes.counts == (2, 1, 1) and split.val is None
    assert split.test.labels.tolist() == [2, 0]
    with pytest.raises(LongtailError, match="imagenet-lt has a test subset already; leave --test-share out"):
        load_split("imagenet-lt", None, str(tmp_path), ReadOptions(size=8, test_share=0.1))


def test_the_hash_equals_git_hash_object(tmp_path):
    (tmp_path / "a").write_bytes(b"hello\n")
    assert published.git_blob_hash(tmp_path / "a") == "ce013625030ba8dba906f756967f9e9ca394464a"
