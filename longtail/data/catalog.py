"""Names of the known data sets, suffixes of list files, and names for display; this module does not load torch."""

import os
import re
from difflib import get_close_matches
from pathlib import Path

from longtail.errors import LongtailError, expand_path, unknown_name
from longtail.hub import HubAddress, is_hub_name

CUT_SETS = ("digits-lt", "cifar10-lt", "cifar100-lt")  # long-tailed subsets are cut from these
PUBLISHED_SETS = ("imagenet-lt", "inaturalist2018")  # published lists say which images belong to these
FOLDER_SETS = ("caltech101",)  # the user brings a folder with train/ and test/
SOURCES = (*CUT_SETS, *PUBLISHED_SETS, *FOLDER_SETS)

TABLES, LISTS = (".csv", ".tsv"), (".txt", ".lst")
SUFFIXES = (*TABLES, *LISTS, ".parquet")
ABSOLUTE = re.compile(r"(?<![\w./~:>^)-])/(?:[^/\s'\"]+/)+")  # the folders of an absolute path in a text, not [^/]


def is_path(data: str) -> bool:
    """Return whether the user means a path, not the name of a known set or of the hub."""
    return data not in SOURCES and not is_hub_name(data) and (os.sep in data or os.path.exists(data))


def is_custom(data: str) -> bool:
    """Return whether the user means data of their own: a path, or a data set of the hub."""
    return is_path(data) or is_hub_name(data)


def resolve_path(data: str) -> str:
    """Return a path from the root of the file system; a name of the hub stays as it is.

    Raises LongtailError for a name that cannot be one of the hub.
    """
    if is_hub_name(data):
        HubAddress.parse(data, "[/config]")
        return data
    return os.path.abspath(data if os.path.exists(data) else expand_path(data))


def unknown_data_error(data: str) -> LongtailError:
    """Return the error for a name that is neither a known set nor a file or folder here; it offers the nearest."""
    known = unknown_name("data", data, SOURCES)
    try:
        near = get_close_matches(data, os.listdir(), n=1, cutoff=0.6)
    except OSError:  # the working folder is gone, or must not be listed
        near = []
    hint = f" (did you mean {make_printable(near[0])}?)" if near else ""
    return LongtailError(
        f"{known}, or a path: a folder of images, a table, a list, a parquet file; or hf:owner/name of the hub. "
        f"No file or folder here is named {make_printable(data)}{hint}"
    )


def format_data_name(data: str) -> str:
    """Return a short name of a data set for display: a path gives its last component, with dashes for blanks.

    A name of the hub gives owner-name, and -config.
    """
    if is_hub_name(data):
        address = HubAddress.parse(data, "[/config]")
        return "-".join([*address.repo.split("/"), *(address.file or "").split("/")]).strip("-")
    if not is_path(data):
        return data
    path = Path(os.path.abspath(data))
    return "-".join(make_printable(path.stem if path.suffix.lower() in SUFFIXES else path.name).split())


def shorten_path(path: str, folder: str = "") -> str:
    """Return a path for display that does not tell where a folder lies: a relative path as it is, an absolute one cut.

    An absolute path starts below `folder` or, outside, at the folder that holds the file.
    """
    if os.path.isabs(path):
        inside = os.path.relpath(path, os.path.abspath(folder)) if folder else os.pardir
        path = os.path.join(*Path(path).parts[-2:]).lstrip(os.sep) if inside.startswith(os.pardir) else inside
    return make_printable(path)


def hide_folders(text: str, data: str = "") -> str:
    """Return a text for a page that others may read: absolute paths are cut to their last component.

    Paths of files of the data set at the path `data` start in the data set.
    """
    folder = os.path.abspath(data) if data and is_path(data) else ""
    for form in {folder, make_printable(folder)} - {"", os.sep}:
        text = text.replace(f"{form}/", "").replace(form, os.path.basename(form))
    return ABSOLUTE.sub("", text)


def make_printable(name: str) -> str:
    """Return a name that can be written as UTF-8; other bytes of the file system are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()
