"""Folders of parquet files: which files hold images, and which subset each belongs to by the words of its name."""

from collections.abc import Sequence
from pathlib import Path

from longtail.data.catalog import make_printable
from longtail.data.classes import RawSplit
from longtail.data.folder import is_image, list_folder, walk_files
from longtail.data.parquet import clear_caches, open_shard, read_image_group
from longtail.data.subset_columns import read_subsets
from longtail.data.subset_names import find_named_subsets
from longtail.errors import LongtailError


def find_shards(folder: Path, subset: str) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the parquet files of each subset in a folder or in its `data/`, with notes; none if folders hold the images.

    Files that name no subset belong to `subset`.

    Raises LongtailError if a folder holds both, if no parquet file can be used, and for names that do not tell the subset.
    """
    clear_caches()  # a file may have changed since it was last opened
    above, below = list_parquet_files(folder), list_parquet_files(folder / "data")
    if above and below:
        raise LongtailError(
            f"{folder} holds {above[0].name}, and {folder / 'data'} holds {below[0].name}; move one away, or name one of them"
        )
    files = above or below
    if not files:
        return {}, []
    usable = [path for path in files if has_images(str(path))]
    image = None if usable and refers_to_files(str(usable[0])) else find_image_in_folders(folder)
    if image and not usable:
        return {}, []  # a table of predictions beside class folders, for example
    if image:
        raise LongtailError(
            f"{folder} holds images in folders ({make_printable(image)}) and in {usable[0].name}; "
            "move one away, or name the parquet file itself"
        )
    if not usable:
        open_shard(str(files[0]))  # raises the reason why it cannot be used
    others = [path for path in files if path not in usable]
    for path in others:
        check_left_out(path)
    shown = ", ".join(make_printable(path.name) for path in others[:5])
    notes = [f"skipped in {usable[0].parent}, without the columns image and label: {shown}"] if others else []
    return assign_subsets(usable, subset, notes), notes


def check_left_out(path: Path) -> None:
    """Raise LongtailError for a file that is named like a subset and is damaged, or has no images but is named train.

    Other files without images are tables that stand beside the data, such as predictions.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # a pipe would never end
        is_prediction = path.is_file() and "class_1" in pq.read_schema(path).names
        is_readable = path.is_file()
    except (pa.ArrowException, OSError):
        is_prediction = is_readable = False
    subsets = find_named_subsets(path.stem)
    if (subsets and not is_readable) or (subsets == {"train"} and not is_prediction):
        open_shard(str(path))


def has_images(path: str) -> bool:
    """Return whether a file is a readable parquet file with columns of images and labels."""
    try:
        open_shard(path)
    except LongtailError:
        return False
    return True


def refers_to_files(path: str) -> bool:
    """Return whether the first image of a parquet file has no bytes, so that its path names a file beside it."""
    group = next((group for group, end in enumerate(open_shard(path).ends) if end), None)
    return group is not None and not read_image_group(path, group)[0][0].as_py()


def assign_subsets(files: list[Path], default: str, notes: list[str]) -> dict[str, list[Path]]:
    """Return the files of each subset by name, in sorted order; files that name no subset belong to `default`.

    Appends a note on such files beside others. Raises LongtailError for such files beside train, and for a name of two
    subsets.
    """
    named = {path: find_named_subsets(path.stem) for path in files}
    for path, subsets in named.items():
        if len(subsets) > 1:
            raise LongtailError(
                f"{path} names the subsets {' and '.join(sorted(subsets))}; name one of train, val and test in the file name"
            )
    unnamed = [path for path, subsets in named.items() if not subsets]
    if unnamed and {"train"} in named.values():
        raise LongtailError(
            f"{unnamed[0]} names no subset, beside files that do; name train, val or test in the file name, or move it away"
        )
    if unnamed and len(unnamed) < len(files):
        shown = ", ".join(make_printable(path.name) for path in unnamed[:5])
        notes.append(f"{len(unnamed):,} parquet files that name no subset are the {default} subset: {shown}")
    shards: dict[str, list[Path]] = {}
    for path in files:
        shards.setdefault(next(iter(named[path]), default), []).append(path)
    return shards


def read_shards(shards: dict[str, list[Path]], names: Sequence[str] | None = None) -> dict[str, RawSplit]:
    """List the subsets of parquet files; a column `split` divides the files of train.

    `names` are the classes of files whose schemas name none.

    Raises LongtailError if that column contradicts the name of a file of val or test, or gives a subset twice.
    """
    raw_splits: dict[str, RawSplit] = {}
    for subset, files in shards.items():
        for name, raw in read_subsets(files, subset, names).items():
            if name != subset and (subset != "train" or name in shards):
                raise LongtailError(
                    f"{files[0]} names the {subset} subset, but its column split has rows of {name}; leave one"
                )
            raw_splits[name] = raw
    return raw_splits


def list_parquet_files(folder: Path) -> list[Path]:
    """Return the parquet files in a folder in order of name; none if there is no such folder."""
    names = sorted(name for name, is_folder in list_folder(folder) if not is_folder) if folder.is_dir() else []
    return [folder / name for name in names if name.lower().endswith(".parquet")]


def find_image_in_folders(folder: Path) -> str | None:
    """Return the path of an image in a folder inside `folder`, relative to it, or None."""
    for name, is_folder in list_folder(folder):
        for path in walk_files(folder, name) if is_folder else ():
            if not path.lower().endswith(".parquet") and is_image(folder / path):
                return path
    return None
