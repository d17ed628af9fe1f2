"""Folders of images: `train/`, `val/` and `test/` with class folders each, or class folders alone."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from longtail.data.catalog import make_printable
from longtail.data.classes import RawSplit, RawSplitBuilder, natural_key
from longtail.data.decode import BadImage, read_header, suppress_pillow_warnings
from longtail.data.subset_names import SUBSET_BY_WORD, find_named_subsets
from longtail.errors import LongtailError

SUBSET_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# formats that Pillow does not read are listed too, so that such a photograph is an error and not silently skipped
SUFFIX_LIST = (
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .tif .tiff .webp .jp2 .j2k .avif .jxl .ppm .pgm .pbm .pnm .tga .ico .heic .heif "
    ".cr2 .cr3 .nef .arw .dng .raf .orf .rw2 .pef .srw"
)
IMAGE_SUFFIXES = frozenset(SUFFIX_LIST.split())
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "@eadir", "__macosx", "$recycle.bin"}  # of Windows, network disks and macOS


def read_folder(folder: Path) -> tuple[dict[str, RawSplit], list[str]]:
    """List the subsets of a folder, with notes; a folder of class folders is all "train".

    Raises LongtailError for another layout.
    """
    inside = dict(list_folder(folder))
    folders = [name for name, is_folder in inside.items() if is_folder]
    train = next((name for name in folders if name.lower() == "train"), None)
    # without folders inside, "train" is a class
    if train is None or not any(is_folder for _, is_folder in list_folder(folder / train)):
        return read_class_folders(folder, "train")
    raw_splits: dict[str, RawSplit] = {}
    notes: list[str] = []
    others = [name for name in folders if name.lower() not in SUBSET_FOLDERS]
    skipped = [name for name in inside if not inside[name]] + others
    for name in folders:
        subset = SUBSET_FOLDERS.get(name.lower())
        if subset in raw_splits:
            raise LongtailError(f"{folder} holds two folders for its {subset} subset; leave one")
        if subset:
            check_labeled(folder, name, train)
            raw_splits[subset], within, more = scan_class_folders(folder / name, prefix=name)
            skipped += [os.path.join(name, path) for path in within]
            notes += more
    named = [f"{name}/" for name in others if find_named_subsets(name)]
    if named:
        notes.append(
            f"{', '.join(named)} in {folder} left out: only train/, val/ and test/ are subsets; rename to use it"
        )
    return raw_splits, note_skipped(folder, skipped) + notes


def check_labeled(folder: Path, name: str, train: str) -> None:
    """Raise LongtailError for a subset whose images lie in no class folders, as the test images of competitions do."""
    inside = list_folder(folder / name)
    if inside and not any(is_folder for _, is_folder in inside):
        raise LongtailError(
            f"{folder / name} holds files but no class folders, so its images have no labels; "
            f"train on {folder / train} alone, with --test-share 0.2"
        )


def read_class_folders(folder: Path, subset: str) -> tuple[dict[str, RawSplit], list[str]]:
    """List a folder of class folders as one subset, with notes."""
    raw_split, skipped, notes = scan_class_folders(folder)
    return {subset: raw_split}, note_skipped(folder, skipped) + notes


def scan_class_folders(folder: Path, prefix: str = "") -> tuple[RawSplit, list[str], list[str]]:
    """List the images below each class folder in natural order, the files that are not images of a class, and notes.

    A class may be empty. Raises LongtailError for a folder without class folders, and if they are no classes.
    """
    entries = sorted(list_folder(folder), key=lambda entry: natural_key(entry[0]))
    names = [name for name, is_folder in entries if is_folder]
    if not names:
        raise LongtailError(f"{folder} holds no class folders; an image's class is the name of the folder it lies in")
    notes = check_class_names(folder, names) + note_hidden(folder)
    builder = RawSplitBuilder(names)
    skipped = [name for name, is_folder in entries if not is_folder]
    inner: dict[str, set[str]] = {}  # folders inside each class folder; "" for images that lie in no further folder
    for name in names:
        for path in walk_files(folder, name):
            if is_image(folder / path):
                builder.add(path, name)
                pieces = path.split(os.sep, 2)
                inner.setdefault(name, set()).add(pieces[1] if len(pieces) > 2 else "")
            else:
                skipped.append(path)
    return builder.build(folder, prefix), skipped, notes + check_nesting(folder, names, inner)


def note_hidden(folder: Path) -> list[str]:
    """Return a note on folders of images whose names begin with a dot, which hides them."""
    with os.scandir(folder) as entries:
        hidden = [entry.name for entry in entries if entry.name.startswith(".") and is_folder(entry)]
    found = [name for name in sorted(hidden) if holds_images(folder / name)]
    shown = ", ".join(f"{make_printable(name)}/" for name in found[:5])
    return (
        [f"{shown} in {folder} hold images and are left out, as names with a dot in front are hidden"] if found else []
    )


def holds_images(folder: Path) -> bool:
    """Return whether files in a folder have the suffix of an image; False if the folder cannot be read."""
    try:
        return any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in os.listdir(folder))
    except OSError:
        return False


def check_class_names(folder: Path, names: list[str]) -> list[str]:
    """Return a note on one folder that is named like a subset.

    Raises LongtailError if that folder holds the same classes as those beside it, and if folders are named like several
    subsets: all of them, or two that hold folders and no images.
    """
    named = {name: found for name in names if (found := find_named_subsets(name))}
    if len(named) == 1 and len(names) > 2:
        (name,) = named
        if {inner for inner, is_folder in list_folder(folder / name) if is_folder} & {*names} - {name}:
            raise LongtailError(
                f"{folder} holds {make_printable(name)}/ beside class folders, with folders of the same names inside; put the "
                "class folders beside it into train/"
            )
        return [
            f"{make_printable(name)}/ in {folder} is named like a subset and is a class here, as it is beside class folders"
        ]
    if len(named) < 2 or len(set.union(*named.values())) < 2:
        return []
    if len(named) < len(names):
        named = {name: found for name, found in named.items() if is_made_of_folders(folder / name)}
    if named and len(set.union(*named.values())) > 1:
        shown = ", ".join(f"{make_printable(name)}/" for name in list(named)[:5])
        raise LongtailError(
            f"{folder} holds {shown}, which are named like subsets, not classes; name them train/, val/ and test/, "
            "with a folder for each class inside"
        )
    return []


def is_made_of_folders(folder: Path) -> bool:
    """Return whether a folder holds folders and no image beside them."""
    inside = list_folder(folder)
    images = [name for name, is_folder in inside if not is_folder and Path(name).suffix.lower() in IMAGE_SUFFIXES]
    return any(is_folder for _, is_folder in inside) and not images


def check_nesting(folder: Path, names: list[str], inner: dict[str, set[str]]) -> list[str]:
    """Return a note if the images of every class lie in further folders, which may be the classes.

    Raises LongtailError if no class folder holds an image, or the folders inside are subsets or clearly the classes.
    """
    if not inner:
        raise LongtailError(f"{folder} holds no image in its folders; an image's class is the name of its folder")
    for name, inside in inner.items():
        subsets = [f"{place}/" for place in sorted(inside) if place.lower() in SUBSET_BY_WORD]
        if len(subsets) > 1:
            raise LongtailError(
                f"{folder / name} holds {' and '.join(subsets)}, which are named like subsets; put the subsets outside "
                f"and the classes inside, as {folder / subsets[0]}CLASS/IMAGE"
            )
    if any("" in inside for inside in inner.values()) or max(map(len, inner.values())) < 2:
        return []
    shown = ", ".join(f"{make_printable(name)}/" for name in list(inner)[:5])
    # one outer folder, or fold1, fold2, ... that repeat the same folders: the classes are the folders inside
    are_folds = all(re.fullmatch(r"(?:fold|split|part|batch|shard)[\W_]*[0-9]+", name.lower()) for name in names)
    if len(names) == 1 or (are_folds and len({frozenset(inside) for inside in inner.values()}) == 1):
        raise LongtailError(
            f"{folder} holds {shown} with only folders inside; if these are the classes, put them in one folder and name it"
        )
    return [
        f"the images of all classes in {folder} lie in further folders; the classes are the outer ones: {shown}; "
        f"if the folders inside are the classes, name one of the outer ones, such as {folder / make_printable(names[0])}"
    ]


def is_image(path: Path) -> bool:
    """Return whether a file has the suffix of an image, or can be read as one."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with suppress_pillow_warnings():
            read_header(str(path), "")
        return True
    except BadImage:
        return False


def walk_files(folder: Path, inside: str) -> Iterator[str]:
    """Yield the paths of all files below `inside`, relative to `folder`; links to a folder above are not followed."""

    def walk(relative: str, above: frozenset) -> Iterator[str]:
        here = get_inode(folder / relative)
        if here in above:
            return
        for name, is_folder in sorted(list_folder(folder / relative), key=lambda entry: natural_key(entry[0])):
            path = os.path.join(relative, name)
            if is_folder:
                yield from walk(path, above | {here})
            else:
                yield path

    top = folder.resolve()
    return walk(inside, frozenset(map(get_inode, (top, *top.parents))))


def get_inode(folder: Path) -> tuple[int, int]:
    """Return device and inode, which are the same for every path to a folder."""
    try:
        status = os.stat(folder)
    except OSError as error:  # a folder may disappear after it was listed
        raise LongtailError(f"{folder} cannot be read: {error.strerror}") from error
    return status.st_dev, status.st_ino


def list_folder(folder: Path) -> list[tuple[str, bool]]:
    """Return the names in a folder and whether each is a folder, without hidden files and files of file managers."""
    try:
        with os.scandir(folder) as entries:
            return [
                (e.name, is_folder(e))
                for e in entries
                if not e.name.startswith(".") and e.name.lower() not in SYSTEM_FILES
            ]
    except OSError as error:
        raise LongtailError(f"{folder} cannot be read: {error.strerror}") from error


def is_folder(entry: os.DirEntry) -> bool:
    """Return whether an entry is a folder or a link to one; a link to nothing or to itself counts as a file."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def note_skipped(folder: Path, names: list[str]) -> list[str]:
    """Return a note on the files that are skipped, if there are any."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    first = ", ".join(map(make_printable, sorted(names)[:5]))
    return (
        [f"skipped {len(names):,} in {folder}, which are not images in class folders: {first}{more}"] if names else []
    )
