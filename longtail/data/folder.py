"""A folder of images: `train/`, `val/`, `test/` with class folders each, or class folders alone."""

import os
from collections.abc import Iterator
from pathlib import Path

from longtail.data.catalog import make_printable
from longtail.data.classes import RawSplit, RawSplitBuilder, natural_key
from longtail.data.decode import BadImage, read_header, suppress_pillow_warnings
from longtail.errors import LongtailError

SUBSET_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# endings of files that are meant as images, also of those that Pillow does not read, so that no photograph is lost in silence
SUFFIX_LIST = (
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .tif .tiff .webp .jp2 .j2k .avif .jxl .ppm .pgm .pbm .pnm .tga .ico .heic .heif "
    ".cr2 .cr3 .nef .arw .dng .raf .orf .rw2 .pef .srw"
)
IMAGE_SUFFIXES = frozenset(SUFFIX_LIST.split())
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "@eadir", "__macosx", "$recycle.bin"}  # of Windows, network disks and macOS


def read_folder(folder: Path) -> tuple[dict[str, RawSplit], list[str]]:
    """The parts of a folder and notes; one folder of class folders is all "train". Raises LongtailError for another layout."""
    inside = dict(list_folder(folder))
    folders = [name for name, is_folder in inside.items() if is_folder]
    if not folders:
        raise LongtailError(f"{folder} holds no class folders; an image's class is the name of the folder it lies in")
    train = next((name for name in folders if name.lower() == "train"), None)
    if train is None or not any(
        is_folder for _, is_folder in list_folder(folder / train)
    ):  # a class may be called train
        return read_class_folders(folder, "train")
    found, aside = {}, [name for name in inside if not inside[name] or name.lower() not in SUBSET_NAMES]
    for name in folders:
        part = SUBSET_NAMES.get(name.lower())
        if part in found:
            raise LongtailError(f"{folder} holds two folders for its {part} part; leave one")
        if part:
            within: list[str] = []
            found[part] = scan_class_folders(folder / name, within)
            aside += [os.path.join(name, path) for path in within]
    return found, note_ignored(folder, aside)


def read_class_folders(folder: Path, part: str) -> tuple[dict[str, RawSplit], list[str]]:
    """One part from a folder of class folders, and notes."""
    aside: list[str] = []
    return {part: scan_class_folders(folder, aside)}, note_ignored(folder, aside)


def scan_class_folders(folder: Path, aside: list[str]) -> RawSplit:
    """The images below each class folder, in natural order, a class may be empty; what is no image is added to `aside`."""
    found = sorted(list_folder(folder), key=lambda entry: natural_key(entry[0]))
    names = [name for name, is_folder in found if is_folder]
    if not names:
        raise LongtailError(f"{folder} holds no class folders; an image's class is the name of the folder it lies in")
    growing = RawSplitBuilder(names)
    aside += [name for name, is_folder in found if not is_folder]
    for name in names:
        for path in walk_files(folder, name):
            if is_image(folder / path):
                growing.add(path, name)
            else:
                aside.append(path)
    return growing.part(folder)


def is_image(path: Path) -> bool:
    """Whether a file is meant as an image: its name says so or, if not, it can be read as one whatever its name."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with suppress_pillow_warnings():
            read_header(str(path), "")
        return True
    except BadImage:
        return False


def walk_files(folder: Path, inside: str) -> Iterator[str]:
    """Paths of all files at any depth, relative to `folder`; a link that leads back to a folder above it is not followed."""

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
    """What all names of a folder share."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def list_folder(folder: Path) -> list[tuple[str, bool]]:
    """Names in a folder and whether each is a folder, without hidden ones and what file managers leave behind."""
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
    """Whether a name is a folder, or a link to one; a link that leads nowhere, or to itself, counts as a file."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def note_ignored(folder: Path, names: list[str]) -> list[str]:
    """The note on what is no image in a class folder."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    first = ", ".join(map(make_printable, sorted(names)[:5]))
    return [f"{len(names):,} left aside in {folder}, as no images in class folders: {first}{more}"] if names else []
