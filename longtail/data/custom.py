"""Custom data: a folder, a table, a list or parquet files become a split of `LazyImages`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from longtail.data.catalog import LISTS, SUFFIXES, TABLES
from longtail.data.classes import RawSplit, align_classes
from longtail.data.folder import SUBSET_FOLDERS, read_class_folders, read_folder
from longtail.data.groups import find_groups
from longtail.data.holdout import cut_long_tail, grouped_holdout, stratified_holdout
from longtail.data.hub import read_hub_data
from longtail.data.lazy import LazyImages
from longtail.data.repeats import note_repeats
from longtail.data.shards import find_shards, read_shards
from longtail.data.split import ClassTable, Split
from longtail.data.subset_columns import read_subsets
from longtail.data.subset_names import WORDS
from longtail.data.table import UnlabeledTable, read_table
from longtail.errors import LongtailError, expand_path
from longtail.hub import is_hub_name


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading custom data.

    `size` is the side in pixels of images in memory (None: images stay in files). `val` and `test` are paths of further
    subsets; `val_share` and `test_share` are the shares of each class to hold out instead, and `default_test_share` that of
    a data set without test images, where `test_share` is 0. `workers` is the number of processes that decode images in
    files (None: one for each core). Without `verify` no image of files is read. `group` is "auto", "column" or a regular
    expression that names the group of an image, as for `groups.find_groups`; None: no groups. `fit` says how images in
    memory become squares, as in a `TransformSet`. `commits` are those at which data sets of the hub are read, by name.
    """

    size: int | None = None
    val: str | None = None
    test: str | None = None
    val_share: float = 0.0
    test_share: float = 0.0
    skip_bad: bool = False
    workers: int | None = None
    verify: bool = True
    group: str | None = None
    fit: str = "cut"
    default_test_share: float = 0.0
    commits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """A data set before any image is read: class names in label order, subsets by name, notes for the user.

    `grouping` is "column" or the regular expression that names the groups of images; None: there are no groups.
    `test_share` is the share of each class that is held out to test on, `commits` are those of data sets of the hub.
    """

    names: list[str]
    subsets: dict[str, LazyImages]
    notes: list[str]
    grouping: str | None = None
    test_share: float = 0.0
    commits: dict[str, str] = field(default_factory=dict)


def list_custom_data(data: str, root: str | None = None, reading: ReadOptions = ReadOptions()) -> Listing:
    """List a data set and hold out the requested shares; raises LongtailError if the data set cannot be listed."""
    commits = dict(reading.commits)  # those that are read now are added
    raw_splits, notes = find_raw_splits(data, reading, expand_path(root) if root else None, commits)
    if "train" not in raw_splits:
        raise LongtailError(f"{data} has no train subset, only {' and '.join(raw_splits)}")
    names, subsets, more = align_classes(raw_splits)
    if grouping := find_groups(raw_splits, reading.group):
        subsets = {name: replace(images, groups=grouping.numbers[name]) for name, images in subsets.items()}
        more.append(grouping.describe())
    if not reading.test_share and not subsets.keys() & {"test", "val"}:
        reading = replace(reading, test_share=reading.default_test_share)
    more += hold_out(subsets, "test", reading.test_share, data, names)
    # many public sets label no test images; testing on val forbids selecting an epoch by val as well
    if "test" not in subsets and "val" in subsets:
        subsets["test"] = subsets.pop("val")
        more.append("no test subset: the val subset is used for testing, and selects nothing")
    more += hold_out(subsets, "val", reading.val_share, data, names)
    ordered: dict[str, LazyImages] = {
        subset: subsets[subset] for subset in ("train", "val", "test") if subset in subsets
    }
    more += note_repeats(ordered) + (grouping.note_shared(ordered) if grouping else [])
    return Listing(names, ordered, notes + more, grouping.source if grouping else None, reading.test_share, commits)


def hold_out(subsets: dict[str, LazyImages], subset: str, share: float, data: str, names: list[str]) -> list[str]:
    """Move a share of every class from training to a new subset, with notes; groups of images are moved whole.

    Raises LongtailError if there is a subset of that name, and if no group can be moved.
    """
    if share and subset in subsets:
        raise LongtailError(f"{data} has a {subset} subset already; leave --{subset}-share out")
    if not share:
        return []
    train = subsets["train"]
    if train.groups is None:
        kept, held = stratified_holdout(train.labels, share)
    else:
        kept, held = grouped_holdout(train.labels, train.groups, share)
    subsets["train"], subsets[subset] = train.take(kept), train.take(held)
    return [] if train.groups is None else note_undivided(subset, train.labels, subsets[subset].labels, names)


def note_undivided(subset: str, labels: Tensor, held: Tensor, names: list[str]) -> list[str]:
    """Return a note on the classes that a held-out subset lacks because groups stay whole.

    Raises LongtailError if all classes are lacking.
    """
    if not len(held):
        raise LongtailError(
            f"no group can be held out for a {subset} subset: each holds all images of a class; change --group, "
            "or leave it out (--group none ignores a column group)"
        )
    missing = sorted(set(labels.tolist()) - set(held.tolist()))
    if not missing:
        return []
    shown = ", ".join(names[label] for label in missing[:10])
    number = "1 class has" if len(missing) == 1 else f"{len(missing):,} classes have"
    return [f"{number} no {subset} images, as groups are not divided: {shown}"]


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
    val, held = subsets.get("val"), listing.test_share
    return Split(name, table, train, subsets["test"], listing.notes, val, listing.grouping, held, listing.commits)


def find_raw_splits(
    data: str, reading: ReadOptions, root: Path | None, commits: dict[str, str]
) -> tuple[dict[str, RawSplit], list[str]]:
    """List the subsets that a path or data set of the hub holds, the named ones, and sibling lists, with notes.

    The commits of data sets of the hub are taken from `commits`, or added to them.

    Raises LongtailError for a named subset that the path holds already, or a file without that subset.
    """
    raw_splits, notes = read_any(data, "train", root, commits)
    for subset, named in (("val", reading.val), ("test", reading.test)):
        if named and subset in raw_splits:
            raise LongtailError(f"{data} has a {subset} subset already; leave --{subset} out")
        if subset in raw_splits:
            continue
        if named:
            more, extra = read_any(named, subset, root, commits)
        elif is_hub_name(data):
            continue
        else:
            more, extra = read_sibling_list(Path(data), subset, root)
        if named and subset not in more:
            raise LongtailError(f"{named} has no {subset} subset, only {' and '.join(more)}")
        raw_splits |= {subset: more[subset]} if more else {}
        if unread := [other for other in more if other != subset]:
            extra.append(f"only the {subset} subset of {named} is read, not {' and '.join(unread)}")
        notes += extra
    return raw_splits, notes


def read_sibling_list(data: Path, subset: str, root: Path | None) -> tuple[dict[str, RawSplit], list[str]]:
    """List a subset in the file beside a list NAME_train that is named NAME_val or NAME_test, with notes.

    Returns no subset if there is no such file, or one without labels. Raises LongtailError that says why a file which the
    user did not name is read.
    """
    siblings = find_sibling_lists(data, WORDS[subset])
    words = [word for word in SUBSET_FOLDERS if word in WORDS[subset]] if data.stem.lower().endswith("train") else []
    path = next(iter(find_sibling_lists(data, words)), None)
    notes = [f"{other}, beside {data}, is not read; --{subset} names it" for other in siblings if other != path]
    if path is None:
        return {}, notes
    try:
        more, extra = read_raw_splits(path, subset, root)
        if subset in more:
            return {subset: more[subset]}, extra + notes
        raise LongtailError(f"{path} has no {subset} subset, only {' and '.join(more)}")
    except UnlabeledTable:
        return {}, [f"{path}, beside {data}, has no labels and is left out", *notes]
    except LongtailError as error:
        raise LongtailError(
            f"{error}. It is read because it is beside {data}: rename it, or name another by --{subset}"
        ) from error


def read_any(
    data: str, subset: str, root: Path | None, commits: dict[str, str]
) -> tuple[dict[str, RawSplit], list[str]]:
    """List the subsets in one folder, file or data set of the hub, with notes, as `read_raw_splits` does."""
    if not is_hub_name(data):
        return read_raw_splits(expand_path(data), subset, root)
    if root is not None:
        raise LongtailError(f"root is of files on this machine, and {data} is of the hub; leave --root out")
    raw_splits, notes, commits[data] = read_hub_data(data, subset, commits.get(data))
    return raw_splits, notes


def read_raw_splits(path: Path, subset: str, root: Path | None) -> tuple[dict[str, RawSplit], list[str]]:
    """List the subsets in one folder or file, with notes; images that name no subset belong to `subset`.

    Raises LongtailError for a path that is missing or of an unknown kind.
    """
    kind = path.suffix.lower()
    if path.is_dir():
        shards, notes = find_shards(path, subset)
        if shards:
            return read_shards(shards), notes
        return read_folder(path) if subset == "train" else read_class_folders(path, subset)
    if path.exists() and not path.is_file():
        raise LongtailError(f"{path} is not a regular file; name a folder, a table, a list or a parquet file")
    if not path.is_file():
        raise LongtailError(f"{path} is not there; name a folder of class folders, a table, a list or a parquet file")
    if kind in TABLES + LISTS:
        return read_table(path, subset, root)
    if kind == ".parquet":
        return read_subsets([path], subset), []
    raise LongtailError(f"{path} is neither a folder nor one of {', '.join(SUFFIXES)}")


def find_sibling_lists(data: Path, words: Iterable[str]) -> list[Path]:
    """Return the files beside a list NAME_train (or NAME_training) that are named by one of `words` instead of train."""
    stem = next((data.stem[: -len(word)] for word in WORDS["train"] if data.stem.lower().endswith(word)), None)
    if stem is None or not data.is_file():
        return []
    wanted = {(stem + word + data.suffix).lower(): place for place, word in enumerate(words)}
    found = [path for path in data.parent.iterdir() if path.name.lower() in wanted and path.is_file()]
    return sorted(found, key=lambda path: wanted[path.name.lower()])
