"""The names of the known data sets, and how data are named by a path; loads no torch."""

import os
from pathlib import Path

CUT_SETS = ("digits-lt", "cifar10-lt", "cifar100-lt")  # long-tailed subsets are cut from these
PUBLISHED_SETS = ("imagenet-lt", "inaturalist2018")  # published lists say which images belong to these
SOURCES = (*CUT_SETS, *PUBLISHED_SETS)

TABLES, LISTS = (".csv", ".tsv"), (".txt", ".lst")
SUFFIXES = (*TABLES, *LISTS, ".parquet")


def is_path(data: str) -> bool:
    """Return whether data is meant as a path, not as the name of a known set."""
    return data not in SOURCES and (os.sep in data or os.path.exists(data))


def format_data_name(data: str) -> str:
    """Return a short name of a data set for display: of a path its last component, with dashes for blanks."""
    if not is_path(data):
        return data
    path = Path(os.path.abspath(data))
    return "-".join(make_printable(path.stem if path.suffix.lower() in SUFFIXES else path.name).split())


def make_printable(name: str) -> str:
    """Return a name that can be written as UTF-8, whatever bytes the file system holds."""
    return name.encode("utf-8", "backslashreplace").decode()
