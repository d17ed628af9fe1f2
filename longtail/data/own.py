"""A person's own images: a folder, a table, a list or parquet files become a split of `Files`."""

from dataclasses import dataclass
from pathlib import Path

from longtail.data.files import Files
from longtail.data.folder import PARTS, folder_parts, listed, of_classes
from longtail.data.holdout import held_out, long_tail
from longtail.data.names import Part, unite
from longtail.data.shards import part_of
from longtail.data.split import ClassTable, Split
from longtail.data.table import LISTS, TABLES, table_parts
from longtail.errors import LongtailError, expanded

SUFFIXES = (*TABLES, *LISTS, ".parquet")


@dataclass(frozen=True)
class Reading:
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
    parts: dict[str, Files]
    notes: list[str]


def listing_of(data: str, root: str | None = None, reading: Reading = Reading()) -> Listing:
    """List a data set and hold out the shares that are asked for; raises LongtailError for whatever cannot be listed."""
    parts, notes = found_parts(Path(data), reading, expanded(root) if root else None)
    if "train" not in parts:
        raise LongtailError(f"{data} has no train part, only {' and '.join(parts)}")
    names, files, more = unite(parts)
    hold_out(files, "test", reading.test_share, data)
    if "test" not in files and "val" in files:
        files["test"] = files.pop("val")
        more.append("no test part: the val part is tested on, and chooses nothing")
    hold_out(files, "val", reading.val_share, data)
    return Listing(names, {part: files[part] for part in ("train", "val", "test") if part in files}, notes + more)


def hold_out(files: dict[str, Files], part: str, share: float, data: str) -> None:
    """Move a share of every class from the training part to a new one; raises LongtailError if it is there already."""
    if share and part in files:
        raise LongtailError(f"{data} has a {part} part of its own; leave --{part}-share out")
    if share:
        kept, held = held_out(files["train"].labels, share)
        files["train"], files[part] = files["train"].take(kept), files["train"].take(held)


def split_of(name: str, listing: Listing, imbalance: float | None) -> Split:
    """The split of a listing, with a tail cut from its training part if an imbalance is asked for."""
    train, parts = listing.parts["train"], listing.parts
    if "test" not in parts:
        raise LongtailError(
            f"data set '{name}' has no test part; --test-share 0.2 holds a fifth of every class out, --test names one"
        )
    if imbalance is not None:
        train = train.take(sorted(long_tail(train.labels, listing.names, imbalance)))
    table = ClassTable.of(listing.names, train.labels)
    return Split(name, table, train, parts["test"], listing.notes, parts.get("val"))


def found_parts(data: Path, reading: Reading, root: Path | None) -> tuple[dict[str, Part], list[str]]:
    """The parts that a path holds, those beside it, and those named; and notes."""
    parts, notes = parts_at(data, "train", root)
    for part, named in (("val", reading.val), ("test", reading.test)):
        if named and part in parts:
            raise LongtailError(f"{data} has a {part} part of its own; leave --{part} out")
        beside = expanded(named) if named else sibling(data, part)
        if beside and part not in parts:
            more, extra = parts_at(beside, part, root)
            if part not in more:
                raise LongtailError(f"{beside} has no {part} part, only {' and '.join(more)}")
            parts[part] = more[part]
            notes += extra
    return parts, notes


def parts_at(path: Path, part: str, root: Path | None) -> tuple[dict[str, Part], list[str]]:
    """The parts in one folder or file, `part` being what is not said otherwise, and notes."""
    kind = path.suffix.lower()
    if path.is_dir():
        shards = parquet_files(path) or parquet_files(path / "data")
        if shards:
            return {name: part_of(files) for name, files in shards.items()}, []
        return folder_parts(path) if part == "train" else of_classes(path, part)
    if not path.is_file():
        raise LongtailError(f"{path} is not there; give a folder of class folders, a table, a list or a parquet file")
    if kind in TABLES + LISTS:
        return table_parts(path, part, root), []
    if kind == ".parquet":
        return {part: part_of([path])}, []
    raise LongtailError(f"{path} is neither a folder nor one of {', '.join(SUFFIXES)}")


def parquet_files(folder: Path) -> dict[str, list[Path]]:
    """Parquet files by part, which the first letters of a name say (train-00000-of-00002.parquet); without, it is train."""
    found: dict[str, list[Path]] = {}
    names = sorted(name for name, _ in listed(folder)) if folder.is_dir() else []
    for name in names:
        if name.lower().endswith(".parquet"):
            word = name.lower().replace(".", "-").replace("_", "-").split("-")[0]
            found.setdefault(PARTS.get(word, "train"), []).append(folder / name)
    return found


def sibling(data: Path, part: str) -> Path | None:
    """The list beside one whose name ends in "train" that has "val" or "test" there, if there is one."""
    if not data.is_file() or not data.stem.lower().endswith("train"):
        return None
    words = [word for word, meant in PARTS.items() if meant == part]
    beside = [data.with_name(data.stem[:-5] + word + data.suffix) for word in words]
    return next((path for path in beside if path.is_file()), None)
