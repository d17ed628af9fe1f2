"""`longtail predict --sort-into`: links by predicted class, and nothing moved, overwritten or mixed up."""

import os
from pathlib import Path

import pytest

from longtail import LongtailError
from longtail.inference import sorting
from longtail.inference.sorting import Sorter, check_sort_folder, name_folders


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    """Write files, two of which have the same name."""
    files = [tmp_path / "photos" / name for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg")]
    for i, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"photo {i}")
    return files


def read_tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_images_become_symbolic_links_and_equal_names_get_numbers(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sorter = Sorter(Path("sorted"), ["eel", "cod"])
    for file in photos:
        sorter.add(os.path.relpath(file), "cod" if file.name == "2.jpg" else "eel")
    expected = {"cod/2.jpg": "photo 2", "eel/1.jpg": "photo 0", "eel/1-2.jpg": "photo 1", "eel/1-3.jpg": "photo 3"}
    assert read_tree(tmp_path / "sorted") == expected and sorter.links == 4 and sorter.used == {"eel", "cod"}
    assert (
        all(path.is_symlink() for path in (tmp_path / "sorted").glob("*/*"))
        and len(read_tree(tmp_path / "photos")) == 4
    )


def test_a_number_never_replaces_an_image_that_has_it_in_its_name(photos, tmp_path):
    sorter = Sorter(tmp_path / "sorted", ["eel"])
    (tmp_path / "1-2.jpg").write_text("another")
    for file in (tmp_path / "1-2.jpg", *photos[:2]):
        sorter.add(str(file), "eel")
    assert read_tree(tmp_path / "sorted") == {
        "eel/1-2.jpg": "another",
        "eel/1.jpg": "photo 0",
        "eel/1-3.jpg": "photo 1",
    }


def test_without_symbolic_links_hard_links_are_made(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(sorting.os, "symlink", refuse)
    sorter = Sorter(tmp_path / "sorted", ["eel"])
    for file in photos[:2]:
        sorter.add(str(file), "eel")
    made = tmp_path / "sorted" / "eel" / "1.jpg"
    assert made.samefile(photos[0]) and not made.is_symlink()
    assert read_tree(tmp_path / "sorted") == {"eel/1.jpg": "photo 0", "eel/1-2.jpg": "photo 1"}


def refuse(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_where_no_links_can_be_made_one_line_says_what_to_do(photos, tmp_path, monkeypatch):
    for name in ("symlink", "link"):
        monkeypatch.setattr(sorting.os, name, refuse)
    with pytest.raises(
        LongtailError, match=r"takes no links \(operation not permitted\); name a folder on another disk"
    ):
        Sorter(tmp_path / "sorted", ["eel"]).add(str(photos[0]), "eel")


NAMES = {
    "Chrysaora_quinquecirrha": "Chrysaora_quinquecirrha",
    "a/b": "a_b",
    "a_b": "a_b-2",
    "A_B": "A_B-3",
    "..": "__",
    ".hidden": "_hidden",
    "../../etc": "___.._etc",
    "Calanus sp.": "Calanus sp.",
    "": "_",
    "  ": "_-2",
    "x\n\x1b[2J\u202e": "x__[2J_",
    "weiß?": "weiß_",
    "é" * 200: "é" * 60,
}


def test_names_of_classes_become_safe_folder_names_and_no_two_are_alike():
    assert name_folders(list(NAMES)) == NAMES


def test_a_folder_that_holds_anything_or_is_none_is_refused(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    check_sort_folder(tmp_path / "empty", [str(tmp_path / "photos")])
    check_sort_folder(tmp_path / "new", [str(photos[0])])
    os.symlink(tmp_path / "nowhere", tmp_path / "broken")
    cases = {
        "photos": "is not empty and is left as it is",
        "photos/a/1.jpg": "is no folder and is left as it is",
        "broken": "is no folder and is left as it is",
        "photos/new": "so its links would be images to predict",
        "no/where": "is not a folder; make it, or choose another --sort-into",
    }
    for name, message in cases.items():
        with pytest.raises(LongtailError, match=message):
            check_sort_folder(tmp_path / name, [str(tmp_path / "photos")])
