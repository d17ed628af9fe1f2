"""Data sets of the Hugging Face hub: the parquet files of a repository at one commit, and the subset of each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path, PurePosixPath

from longtail.data.catalog import make_printable
from longtail.data.classes import RawSplit
from longtail.data.parquet import ParquetIndex, open_shard, read_column
from longtail.data.shards import assign_subsets, read_shards
from longtail.data.subset_names import SUBSET_BY_WORD, find_named_subsets
from longtail.errors import LongtailError
from longtail.hub import HubAddress, report_failure

CARD = "README.md"
CONVERTED = "refs/convert/parquet"  # the branch on which the hub keeps other formats as parquet files
SHOWN = 8  # names in a message


@dataclass(frozen=True)
class Snapshot:
    """The files of a repository at a commit: the folder of those that are here, the paths of all, and the data of its card."""

    folder: Path
    paths: list[str]
    card: dict[str, list[dict]]

    @property
    def commit(self) -> str:
        """Return the commit, 40 hex digits."""
        return self.folder.name

    @property
    def parquet(self) -> list[str]:
        """Return the paths of all parquet files, in order."""
        return sorted(path for path in self.paths if path.lower().endswith(".parquet"))


def read_hub_data(name: str, subset: str, commit: str | None) -> tuple[dict[str, RawSplit], list[str], str]:
    """List the subsets of a data set of the hub, `hf:owner/name[@rev][/config]`, with notes and the commit that was read.

    Images that name no subset belong to `subset`. `commit` replaces the revision where a run has read the data before.
    Raises LongtailError if the hub gives no parquet files with images and labels.
    """
    address, notes = HubAddress.parse(name, "[/config]"), list[str]()
    snapshot = open_snapshot(name, address.repo, commit or address.revision)
    if not snapshot.parquet and not (commit or address.revision):
        snapshot = open_converted(name, address.repo, snapshot.paths)
        notes.append(f"{name} keeps no parquet files; those that the hub made of it are read")
    config, chosen = choose_files(name, snapshot, address.file, subset, notes)
    folder = download(name, address.repo, snapshot.commit, [path for paths in chosen.values() for path in paths])
    shards = {key: [folder / path for path in paths] for key, paths in chosen.items()}
    drop_unlabeled(name, shards, notes)
    names = find_class_names(snapshot.card, config, next(iter(shards.values())))
    size = sum((folder / path).stat().st_size for paths in chosen.values() for path in paths)
    files = sum(map(len, chosen.values()))
    notes.insert(0, f"{name} at commit {snapshot.commit[:12]}: {files} parquet files, {size / 1e6:,.1f} MB")
    return {key: seal(raw) for key, raw in read_shards(shards, names).items()}, notes, snapshot.commit


def open_snapshot(name: str, repo: str, revision: str | None) -> Snapshot:
    """Resolve a revision to a commit and list its files, on the hub or in the local cache."""
    import huggingface_hub
    from huggingface_hub.repocard import metadata_load

    with report_failure(f"data {name}"):
        # this also keeps the list of files in the cache, by which an incomplete copy is noticed without a network
        where = huggingface_hub.snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=[CARD])
        folder = Path(where)
        tree = huggingface_hub.get_cached_repo_tree(repo, repo_type="dataset", revision=folder.name)
    try:
        card = metadata_load(folder / CARD) if (folder / CARD).is_file() else None
    except Exception as error:  # YAML raises many kinds of errors
        raise LongtailError(f"data {name}: the head of its README.md is no YAML; name another revision") from error
    # a card is of anybody: what is no list of mappings says nothing
    card = {key: as_mappings((card or {}).get(key)) for key in ("configs", "dataset_info")}
    return Snapshot(folder, [entry.path for entry in tree], card)


def as_mappings(value: object) -> list[dict]:
    """Return the mappings of a list, or a mapping by itself as a list."""
    return [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]


def open_converted(name: str, repo: str, paths: Sequence[str]) -> Snapshot:
    """List the files that the hub made of a data set without parquet files; raises LongtailError if there are none."""
    try:
        return open_snapshot(name, repo, CONVERTED)
    except LongtailError as error:
        shown = ", ".join(make_printable(path) for path in sorted(paths)[:SHOWN]) or "nothing"
        raise LongtailError(
            f"data {name}: the repository holds no parquet files ({shown}), and the hub made none of it that could be read "
            f"({error}); download it and name its folder"
        ) from error


def choose_files(
    name: str, snapshot: Snapshot, config: str | None, default: str, notes: list[str]
) -> tuple[str | None, dict[str, list[str]]]:
    """Return the configuration, and the paths of the parquet files of each of its subsets.

    The card names configurations and subsets, else folders and file names do. A split that is neither train, val nor test
    is left out with a note. Raises LongtailError if several configurations are there and none is named.
    """
    entries = read_configs(snapshot.card)
    if entries:
        config = choose_config(name, list(entries), config, find_default(snapshot.card))
        chosen = match_patterns(name, snapshot.parquet, entries[config], notes)
    else:
        folders = {path: find_config_folder(path) for path in snapshot.parquet}
        config = choose_config(name, sorted(set(folders.values())), config, None) if folders else config
        chosen = group_by_name(name, [path for path, folder in folders.items() if folder == config], default, notes)
    if not chosen:
        raise LongtailError(
            f"data {name}: no parquet file is of train, val or test{f' in {config}' if config else ''}; the repository holds "
            f"{', '.join(map(make_printable, (snapshot.parquet or sorted(snapshot.paths))[:SHOWN])) or 'nothing'}"
        )
    return config, chosen


def read_configs(card: dict[str, list[dict]]) -> dict[str, list[tuple[str, str]]]:
    """Return (split, pattern) pairs for each configuration with data files that a card names."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in card["configs"]:
        if not (files := entry.get("data_files")):
            continue
        pairs = []
        for item in files if isinstance(files, list) else [files]:
            split, paths = (item.get("split"), item.get("path")) if isinstance(item, dict) else ("train", item)
            pairs += [(str(split), str(path)) for path in (paths if isinstance(paths, list) else [paths])]
        found[str(entry.get("config_name", "default"))] = pairs
    return found


def find_default(card: dict[str, list[dict]]) -> str | None:
    """Return the configuration that a card marks as the default, or that is called so."""
    names = [str(entry.get("config_name", "default")) for entry in card["configs"]]
    marked = [name for name, entry in zip(names, card["configs"], strict=True) if entry.get("default") is True]
    return next(iter(marked), "default" if "default" in names else None)


def choose_config(name: str, known: Sequence[str], wanted: str | None, default: str | None) -> str:
    """Return the wanted configuration, else the default or the only one; raises LongtailError that lists the known ones."""
    shown = ", ".join(make_printable(each or "(its top folder)") for each in known[:SHOWN])
    if wanted is not None:
        if wanted in known:
            return wanted
        raise LongtailError(f"data {name} has no configuration {wanted}; it has {shown}")
    if default is not None and default in known:
        return default
    if len(known) == 1:
        return known[0]
    plain = next((each for each in known if each), known[0])
    raise LongtailError(f"data {name} has the configurations {shown}; name one, such as {name}/{plain}")


def match_patterns(
    name: str, paths: Sequence[str], pairs: Sequence[tuple[str, str]], notes: list[str]
) -> dict[str, list[str]]:
    """Return the paths that match the patterns of each subset."""
    chosen: dict[str, list[str]] = {}
    for split, pattern in pairs:
        found = [path for path in paths if fnmatchcase(path, pattern.removeprefix("./"))]
        subset = SUBSET_BY_WORD.get(split.strip().lower())
        if subset is None:
            notes.append(f"the split {make_printable(split)} of {name} is neither train, val nor test, and is left out")
        else:
            chosen.setdefault(subset, []).extend(path for path in found if path not in chosen.get(subset, []))
    return {subset: sorted(found) for subset, found in chosen.items() if found}


def find_config_folder(path: str) -> str:
    """Return the folders of a path that name no subset and are not `data`, as the hub names configurations; "" for none."""
    folders = PurePosixPath(path).parent.parts
    return "/".join(part for part in folders if part != "data" and not find_named_subsets(part))


def group_by_name(name: str, paths: Sequence[str], default: str, notes: list[str]) -> dict[str, list[str]]:
    """Return the paths of each subset by the words of file names, or else of the folders around them."""
    cut = [path for path in paths if any(part.startswith("partial-") for part in PurePosixPath(path).parts)]
    if cut:
        notes.append(f"the hub made only a part of {name} into parquet files (the first gigabytes): {cut[0]}")
    by_folder: dict[str, list[str]] = {}
    plain = []
    for path in paths:
        around = PurePosixPath(path).parent.name
        if not find_named_subsets(PurePosixPath(path).stem) and len(subsets := find_named_subsets(around)) == 1:
            by_folder.setdefault(subsets.pop(), []).append(path)
        else:
            plain.append(path)
    more = assign_subsets([Path(path) for path in plain], default, notes) if plain else {}
    for subset, files in more.items():
        by_folder.setdefault(subset, []).extend(map(str, files))
    return by_folder


def download(name: str, repo: str, commit: str, paths: Sequence[str]) -> Path:
    """Download the files of a commit that the local cache does not hold; return the folder of all."""
    import huggingface_hub

    patterns = [escape(path) for path in paths]
    with report_failure(f"data {name}"):
        where = huggingface_hub.snapshot_download(repo, repo_type="dataset", revision=commit, allow_patterns=patterns)
    return Path(where)


def drop_unlabeled(name: str, shards: dict[str, list[Path]], notes: list[str]) -> None:
    """Remove subsets other than train whose labels are all -1, which stands for no label, with a note on each."""
    for subset in [key for key in shards if key != "train"]:
        labels = [read_column(str(path), open_shard(str(path)).label).unique().to_pylist() for path in shards[subset]]
        if all(values == [-1] for values in labels):
            del shards[subset]
            notes.append(f"the {subset} images of {name} have no labels and are left out")
    if not shards:
        raise LongtailError(f"data {name}: no image has a label")


def find_class_names(card: dict[str, list[dict]], config: str | None, files: Sequence[Path]) -> list[str] | None:
    """Return the class names that the card gives the label column; None if it gives none."""
    entries, label = card["dataset_info"], open_shard(str(files[0])).label
    entries = [entry for entry in entries if len(entries) == 1 or entry.get("config_name") == config]
    for feature in [feature for entry in entries for feature in as_mappings(entry.get("features"))]:
        for kind in as_mappings(feature.get("dtype")) if feature.get("name") == label else []:
            names = next((label.get("names") for label in as_mappings(kind.get("class_label"))), None)
            if isinstance(names, dict):  # {"0": "airplane", ...}
                names = [names.get(str(number), names.get(number)) for number in range(len(names))]
            if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
                return names
    return None


def seal(raw: RawSplit) -> RawSplit:
    """Return a subset in which a row without bytes is an empty image: its path would be of a file of this machine."""
    assert isinstance(raw.index, ParquetIndex)
    return replace(raw, index=replace(raw.index, sealed=True))
