"""Names of the known data sets, suffixes of list files, and names for display; this module does not load torch."""

import os
from pathlib import Path

CUT_SETS = ("digits-lt", "cifar10-lt", "cifar100-lt")  # long-tailed subsets are cut from these
PUBLISHED_SETS = ("imagenet-lt", "inaturalist2018")  # published lists say which images belong to these
SOURCES = (*CUT_SETS, *PUBLISHED_SETS)

TABLES, LISTS = (".csv", ".tsv"), (".txt", ".lst")
SUFFIXES = (*TABLES, *LISTS, ".parquet")


def is_path(data: str) -> bool:
    """Return whether the user means a path, not the name of a known set."""
    return data not in SOURCES and (os.sep in data or os.path.exists(data))


def format_data_name(data: str) -> str:
    """Return a short name of a data set for display: a path gives its last component, with dashes for blanks."""
    if not is_path(data):
        return data
    path = Path(os.path.abspath(data))
    return "-".join(make_printable(path.stem if path.suffix.lower() in SUFFIXES else path.name).split())


def make_printable(name: str) -> str:
    """Return a name that can be written as UTF-8; other bytes of the file system are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()
