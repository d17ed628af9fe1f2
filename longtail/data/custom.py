"""A person's own images: a folder, a table, a list or parquet files become a split of `Files`."""

from dataclasses import dataclass
from pathlib import Path

from longtail.data.catalog import LISTS, SUFFIXES, TABLES
from longtail.data.classes import RawSplit, align_classes
from longtail.data.folder import SUBSET_NAMES, list_folder, read_class_folders, read_folder
from longtail.data.holdout import cut_long_tail, stratified_holdout
from longtail.data.lazy import LazyImages
from longtail.data.parquet_index import read_raw_split
from longtail.data.split import ClassTable, Split
from longtail.data.table import read_table
from longtail.errors import LongtailError, expand_path


@dataclass(frozen=True)
class ReadOptions:
    """How own images are read: the side they are brought to (None: they stay in files), where further parts are, or what
    share of each class is held out, and how many processes decode what stays in files (None: as many as there are cores).
    """

    size: int | None = None
    val: str | None = None
    test: str | None = None
    val_share: float = 0.0
    test_share: float = 0.0
    skip_bad: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Listing:
    """What is listed, before any of it is read: class names in label order, parts by name, notes for the user."""

    names: list[str]
    subsets: dict[str, LazyImages]
    notes: list[str]


def list_custom_data(data: str, root: str | None = None, reading: ReadOptions = ReadOptions()) -> Listing:
    """List a data set and hold out the shares that are asked for; raises LongtailError for whatever cannot be listed."""
    parts, notes = find_raw_splits(Path(data), reading, expand_path(root) if root else None)
    if "train" not in parts:
        raise LongtailError(f"{data} has no train part, only {' and '.join(parts)}")
    names, files, more = align_classes(parts)
    hold_out(files, "test", reading.test_share, data)
    if "test" not in files and "val" in files:
        files["test"] = files.pop("val")
        more.append("no test part: the val part is tested on, and chooses nothing")
    hold_out(files, "val", reading.val_share, data)
    return Listing(names, {part: files[part] for part in ("train", "val", "test") if part in files}, notes + more)


def hold_out(files: dict[str, LazyImages], part: str, share: float, data: str) -> None:
    """Move a share of every class from the training part to a new one; raises LongtailError if it is there already."""
    if share and part in files:
        raise LongtailError(f"{data} has a {part} part of its own; leave --{part}-share out")
    if share:
        kept, held = stratified_holdout(files["train"].labels, share)
        files["train"], files[part] = files["train"].take(kept), files["train"].take(held)


def build_split(name: str, listing: Listing, imbalance: float | None) -> Split:
    """The split of a listing, with a tail cut from its training part if an imbalance is asked for."""
    train, parts = listing.subsets["train"], listing.subsets
    if "test" not in parts:
        raise LongtailError(
            f"data set '{name}' has no test part; --test-share 0.2 holds a fifth of every class out, --test names one"
        )
    if imbalance is not None:
        train = train.take(sorted(cut_long_tail(train.labels, listing.names, imbalance)))
    table = ClassTable.from_labels(listing.names, train.labels)
    return Split(name, table, train, parts["test"], listing.notes, parts.get("val"))


def find_raw_splits(data: Path, reading: ReadOptions, root: Path | None) -> tuple[dict[str, RawSplit], list[str]]:
    """The parts that a path holds, those beside it, and those named; and notes."""
    parts, notes = read_raw_splits(data, "train", root)
    for part, named in (("val", reading.val), ("test", reading.test)):
        if named and part in parts:
            raise LongtailError(f"{data} has a {part} part of its own; leave --{part} out")
        beside = expand_path(named) if named else find_sibling_list(data, part)
        if beside and part not in parts:
            more, extra = read_raw_splits(beside, part, root)
            if part not in more:
                raise LongtailError(f"{beside} has no {part} part, only {' and '.join(more)}")
            parts[part] = more[part]
            notes += extra
    return parts, notes


def read_raw_splits(path: Path, part: str, root: Path | None) -> tuple[dict[str, RawSplit], list[str]]:
    """The parts in one folder or file, `part` being what is not said otherwise, and notes."""
    kind = path.suffix.lower()
    if path.is_dir():
        shards = list_parquet_files(path) or list_parquet_files(path / "data")
        if shards:
            return {name: read_raw_split(files) for name, files in shards.items()}, []
        return read_folder(path) if part == "train" else read_class_folders(path, part)
    if not path.is_file():
        raise LongtailError(f"{path} is not there; give a folder of class folders, a table, a list or a parquet file")
    if kind in TABLES + LISTS:
        return read_table(path, part, root), []
    if kind == ".parquet":
        return {part: read_raw_split([path])}, []
    raise LongtailError(f"{path} is neither a folder nor one of {', '.join(SUFFIXES)}")


def list_parquet_files(folder: Path) -> dict[str, list[Path]]:
    """Parquet files by part, which the first letters of a name say (train-00000-of-00002.parquet); without, it is train."""
    found: dict[str, list[Path]] = {}
    names = sorted(name for name, _ in list_folder(folder)) if folder.is_dir() else []
    for name in names:
        if name.lower().endswith(".parquet"):
            word = name.lower().replace(".", "-").replace("_", "-").split("-")[0]
            found.setdefault(SUBSET_NAMES.get(word, "train"), []).append(folder / name)
    return found


def find_sibling_list(data: Path, part: str) -> Path | None:
    """The list beside one whose name ends in "train" that has "val" or "test" there, if there is one."""
    if not data.is_file() or not data.stem.lower().endswith("train"):
        return None
    words = [word for word, meant in SUBSET_NAMES.items() if meant == part]
    beside = [data.with_name(data.stem[:-5] + word + data.suffix) for word in words]
    return next((path for path in beside if path.is_file()), None)
