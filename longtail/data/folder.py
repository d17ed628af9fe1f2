"""Folders of images: `train/`, `val/` and `test/` with class folders each, or class folders alone."""

import os
from collections.abc import Iterator
from pathlib import Path

from longtail.data.catalog import make_printable
from longtail.data.classes import RawSplit, RawSplitBuilder, natural_key
from longtail.data.decode import BadImage, read_header, suppress_pillow_warnings
from longtail.errors import LongtailError

SUBSET_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
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
    if not folders:
        raise LongtailError(f"{folder} holds no class folders; an image's class is the name of the folder it lies in")
    train = next((name for name in folders if name.lower() == "train"), None)
    # without folders inside, "train" is a class
    if train is None or not any(is_folder for _, is_folder in list_folder(folder / train)):
        return read_class_folders(folder, "train")
    raw_splits: dict[str, RawSplit] = {}
    skipped = [name for name in inside if not inside[name] or name.lower() not in SUBSET_NAMES]
    for name in folders:
        subset = SUBSET_NAMES.get(name.lower())
        if subset in raw_splits:
            raise LongtailError(f"{folder} holds two folders for its {subset} subset; leave one")
        if subset:
            raw_splits[subset], within = scan_class_folders(folder / name)
            skipped += [os.path.join(name, path) for path in within]
    return raw_splits, note_skipped(folder, skipped)


def read_class_folders(folder: Path, subset: str) -> tuple[dict[str, RawSplit], list[str]]:
    """List a folder of class folders as one subset, with notes."""
    raw_split, skipped = scan_class_folders(folder)
    return {subset: raw_split}, note_skipped(folder, skipped)


def scan_class_folders(folder: Path) -> tuple[RawSplit, list[str]]:
    """List the images below each class folder in natural order, and the files that are not images of a class.

    A class may be empty. Raises LongtailError for a folder without class folders.
    """
    entries = sorted(list_folder(folder), key=lambda entry: natural_key(entry[0]))
    names = [name for name, is_folder in entries if is_folder]
    if not names:
        raise LongtailError(f"{folder} holds no class folders; an image's class is the name of the folder it lies in")
    builder = RawSplitBuilder(names)
    skipped = [name for name, is_folder in entries if not is_folder]
    for name in names:
        for path in walk_files(folder, name):
            if is_image(folder / path):
                builder.add(path, name)
            else:
                skipped.append(path)
    return builder.build(folder), skipped


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
    status = os.stat(folder)
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
