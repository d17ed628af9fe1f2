"""Custom data: a folder, a table, a list or parquet files become a split of `LazyImages`."""

from dataclasses import dataclass
from pathlib import Path

from longtail.data.catalog import LISTS, SUFFIXES, TABLES
from longtail.data.classes import RawSplit, align_classes
from longtail.data.folder import SUBSET_NAMES, list_folder, read_class_folders, read_folder
from longtail.data.holdout import cut_long_tail, stratified_holdout
from longtail.data.lazy import LazyImages
from longtail.data.parquet import read_raw_split
from longtail.data.split import ClassTable, Split
from longtail.data.table import read_table
from longtail.errors import LongtailError, expand_path


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading custom data.

    `size` is the side in pixels of images in memory (None: images stay in files). `val` and `test` are paths of further
    subsets; `val_share` and `test_share` are the shares of each class to hold out instead. `workers` is the number of
    processes that decode images in files (None: one for each core).
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
    """A data set before any image is read: class names in label order, subsets by name, notes for the user."""

    names: list[str]
    subsets: dict[str, LazyImages]
    notes: list[str]


def list_custom_data(data: str, root: str | None = None, reading: ReadOptions = ReadOptions()) -> Listing:
    """List a data set and hold out the requested shares; raises LongtailError if the data set cannot be listed."""
    raw_splits, notes = find_raw_splits(Path(data), reading, expand_path(root) if root else None)
    if "train" not in raw_splits:
        raise LongtailError(f"{data} has no train subset, only {' and '.join(raw_splits)}")
    names, subsets, more = align_classes(raw_splits)
    hold_out(subsets, "test", reading.test_share, data)
    # many public sets label no test images; testing on val forbids selecting an epoch by val as well
    if "test" not in subsets and "val" in subsets:
        subsets["test"] = subsets.pop("val")
        more.append("no test subset: the val subset is used for testing, and selects nothing")
    hold_out(subsets, "val", reading.val_share, data)
    ordered: dict[str, LazyImages] = {
        subset: subsets[subset] for subset in ("train", "val", "test") if subset in subsets
    }
    return Listing(names, ordered, notes + more)


def hold_out(subsets: dict[str, LazyImages], subset: str, share: float, data: str) -> None:
    """Move a share of every class from training to a new subset; raises LongtailError if there is one of that name."""
    if share and subset in subsets:
        raise LongtailError(f"{data} has a {subset} subset already; leave --{subset}-share out")
    if share:
        train = subsets["train"]
        kept, held = stratified_holdout(train.labels, share)
        subsets["train"], subsets[subset] = train.take(kept), train.take(held)


def build_split(name: str, listing: Listing, imbalance: float | None) -> Split:
    """Build the split of a listing, with a long tail cut from the training images if an imbalance is given.

    Raises LongtailError for a listing without a test subset.
    """
    train, subsets = listing.subsets["train"], listing.subsets
    if "test" not in subsets:
        raise LongtailError(
            f"data set '{name}' has no test subset; --test-share 0.2 holds out a fifth of every class, --test names one"
        )
    if imbalance is not None:
        train = train.take(sorted(cut_long_tail(train.labels, listing.names, imbalance)))
    table = ClassTable.from_labels(listing.names, train.labels)
    return Split(name, table, train, subsets["test"], listing.notes, subsets.get("val"))


def find_raw_splits(data: Path, reading: ReadOptions, root: Path | None) -> tuple[dict[str, RawSplit], list[str]]:
    """List the subsets that a path holds, the named ones, and sibling lists, with notes.

    Raises LongtailError for a named subset that the path holds already, or a file without that subset.
    """
    raw_splits, notes = read_raw_splits(data, "train", root)
    for subset, named in (("val", reading.val), ("test", reading.test)):
        if named and subset in raw_splits:
            raise LongtailError(f"{data} has a {subset} subset already; leave --{subset} out")
        path = expand_path(named) if named else find_sibling_list(data, subset)
        if path and subset not in raw_splits:
            more, extra = read_raw_splits(path, subset, root)
            if subset not in more:
                raise LongtailError(f"{path} has no {subset} subset, only {' and '.join(more)}")
            raw_splits[subset] = more[subset]
            notes += extra
    return raw_splits, notes


def read_raw_splits(path: Path, subset: str, root: Path | None) -> tuple[dict[str, RawSplit], list[str]]:
    """List the subsets in one folder or file, with notes; images that name no subset belong to `subset`.

    Raises LongtailError for a path that is missing or of an unknown kind.
    """
    kind = path.suffix.lower()
    if path.is_dir():
        shards = list_parquet_files(path) or list_parquet_files(path / "data")
        if shards:
            return {name: read_raw_split(files) for name, files in shards.items()}, []
        return read_folder(path) if subset == "train" else read_class_folders(path, subset)
    if not path.is_file():
        raise LongtailError(f"{path} is not there; name a folder of class folders, a table, a list or a parquet file")
    if kind in TABLES + LISTS:
        return read_table(path, subset, root), []
    if kind == ".parquet":
        return {subset: read_raw_split([path])}, []
    raise LongtailError(f"{path} is neither a folder nor one of {', '.join(SUFFIXES)}")


def list_parquet_files(folder: Path) -> dict[str, list[Path]]:
    """Return the parquet files of each subset; names begin with the subset (train-00000-of-00002.parquet), or mean train."""
    shards: dict[str, list[Path]] = {}
    names = sorted(name for name, _ in list_folder(folder)) if folder.is_dir() else []
    for name in names:
        if name.lower().endswith(".parquet"):
            word = name.lower().replace(".", "-").replace("_", "-").split("-")[0]
            shards.setdefault(SUBSET_NAMES.get(word, "train"), []).append(folder / name)
    return shards


def find_sibling_list(data: Path, subset: str) -> Path | None:
    """Return the file beside a list NAME_train that is named NAME_val or NAME_test, or None if there is none."""
    if not data.is_file() or not data.stem.lower().endswith("train"):
        return None
    words = [word for word, meaning in SUBSET_NAMES.items() if meaning == subset]
    siblings = [data.with_name(data.stem[:-5] + word + data.suffix) for word in words]
    return next((path for path in siblings if path.is_file()), None)
