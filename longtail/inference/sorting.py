"""Images sorted into a folder for each predicted class, as links: no image is moved, copied or overwritten."""

import os
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from longtail.errors import CONTROLS, LongtailError, check_parent_folder, expand_path

UNSAFE = dict.fromkeys([*CONTROLS, *map(ord, '<>:"/\\|?*\n\t')], "_")
LONGEST = 120  # bytes of a folder's name; file systems take 255


class Sorter:
    """Links to images, sorted into `folder`/CLASS/IMAGE; folders are made as classes are predicted."""

    def __init__(self, folder: Path, classes: Sequence[str]):
        self.folder, self.folders = folder, name_folders(classes)
        self.last: dict[tuple[str, str], int] = {}  # the number of the last image of a name in a class
        self.links, self.used = 0, set[str]()

    def add(self, path: str, label: str) -> None:
        """Link an image into the folder of its class; an image whose name is taken gets a number: a.png, a-2.png.

        Raises LongtailError if neither a symbolic nor a hard link can be made.
        """
        inside, name = self.folder / self.folders[label], os.path.basename(path)
        stem, suffix = os.path.splitext(name)
        try:
            inside.mkdir(parents=True, exist_ok=True)
            for number in count(self.last.get((label, name), 0) + 1):
                self.last[label, name] = number
                try:
                    link(os.path.abspath(path), inside / (name if number == 1 else f"{stem}-{number}{suffix}"))
                    break
                except FileExistsError:  # names may differ in case only, where the file system does not tell them apart
                    continue
        except OSError as error:
            raise LongtailError(
                f"{inside} takes no links ({(error.strerror or str(error)).lower()}); name a folder on another disk, or "
                "write the predicted classes to a table with --out"
            ) from error
        self.links += 1
        self.used.add(label)


def link(source: str, target: Path) -> None:
    """Make a symbolic link or, where the file system has none, a hard link; raises OSError if neither can be made."""
    try:
        os.symlink(source, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        os.link(os.path.realpath(source), target)


def check_sort_folder(folder: Path, images: Iterable[str]) -> None:
    """Raise LongtailError for a folder that holds anything, cannot be made, or lies in a folder of the images."""
    check_parent_folder(folder, "--sort-into")
    if os.path.lexists(folder) and not folder.is_dir():
        raise LongtailError(f"{folder} is no folder and is left as it is; choose another --sort-into")
    if folder.is_dir() and any(folder.iterdir()):
        raise LongtailError(f"{folder} is not empty and is left as it is; choose a new folder for --sort-into")
    for path in map(expand_path, images):
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise LongtailError(
                f"{folder} is in {path}, so its links would be images to predict; choose a folder elsewhere for --sort-into"
            )


def name_folders(classes: Sequence[str]) -> dict[str, str]:
    """Return a folder name for each class: without characters that file systems refuse, and no two alike."""
    folders, used = dict[str, str](), set[str]()
    for label in classes:
        name = make_folder_name(label)
        numbered = (name if number == 1 else f"{name}-{number}" for number in count(1))
        folders[label] = next(each for each in numbered if each.casefold() not in used)
        used.add(folders[label].casefold())
    return folders


def make_folder_name(label: str) -> str:
    """Return the name of a class as a folder name: unsafe characters become _, no dot or blank at the start."""
    name = label.translate(UNSAFE).encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore").strip()
    visible = name.lstrip(".")
    return "_" * (len(name) - len(visible)) + visible or "_"
