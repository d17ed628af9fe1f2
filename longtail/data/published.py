"""ImageNet-LT (Liu et al. 2019) and iNaturalist 2018 by their published lists; the user brings lists and images."""

import hashlib
from pathlib import Path

from longtail.data.classes import RawSplit, align_classes
from longtail.data.custom import Listing
from longtail.data.table import read_table
from longtail.errors import LongtailError, expand_path

# subset -> file and its git blob hash (`git hash-object FILE`)
LISTS = {
    "imagenet-lt": {
        "train": ("ImageNet_LT_train.txt", "a063f095fcd475db4cf8b0658c4b73955535bbf9"),
        "val": ("ImageNet_LT_val.txt", "3ed3188b2f44829ce2dec1cc27040d8d40984088"),
        "test": ("ImageNet_LT_test.txt", "76a2fb9749d6cd29e765cc4f8c270f2504131e2f"),
    },
    # the literature tests on the published validation list, so there is no val subset
    "inaturalist2018": {
        "train": ("iNaturalist18_train.txt", "4accdb7584d2f0a5106c40a33ed6afa392189bcc"),
        "test": ("iNaturalist18_val.txt", "4c23900857fd0f5adcd4cc0dffef345039eeb05f"),
    },
}


def list_published_data(name: str, root: str | None) -> Listing:
    """List the subsets of "imagenet-lt" or "inaturalist2018" from the lists in `root`; their paths are relative to `root`.

    Raises LongtailError for a missing list (except val), and for a list that differs from the published one.
    """
    if root is None:
        raise LongtailError(
            f"{name} needs --root: the folder with its images and its lists {', '.join(list_file_names(name))}"
        )
    folder = expand_path(root)
    raw_splits: dict[str, RawSplit] = {}
    for subset, (file, published) in LISTS[name].items():
        path = folder / file
        if subset == "val" and not path.exists():
            continue
        if not path.is_file():
            raise LongtailError(
                f"{path} is missing; --root of {name} holds its images and {', '.join(list_file_names(name))}"
            )
        content_hash = git_blob_hash(path)
        if content_hash != published:
            raise LongtailError(
                f"{path} is not the published list: git hash-object says {content_hash}, not {published}"
            )
        raw_splits |= read_table(path, subset)[0]
    return Listing(*align_classes(raw_splits))


def list_file_names(name: str) -> list[str]:
    """Return the file names of the lists of a data set."""
    return [file for file, _ in LISTS[name].values()]


def git_blob_hash(path: Path) -> str:
    """Compute the hash by which git names the content of a file."""
    sha = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
