"""The cache of features on the disk: for each encoder a folder, in it files that hold the features of some images each.

A file is named by the sha256 of its content, and its rows by the sha256 of their images. So features are found for the same
images wherever they lie, a file is whole or not there, and a damaged file is noticed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from longtail.errors import LongtailError, expand_path
from longtail.runs.files import hash_file, read_json, write_bytes, write_json

CACHE_VARIABLE = "LONGTAIL_CACHE"  # environment variable that names the folder
ABOUT = "about.json"  # what the features of a folder are of


def cache_root(path: str | Path | None = None) -> Path:
    """Return the folder of the cache: `path`, else $LONGTAIL_CACHE, else ~/.cache/longtail."""
    return expand_path(path or os.environ.get(CACHE_VARIABLE) or "~/.cache/longtail")


@dataclass(frozen=True)
class FeatureCache:
    """The features (L, d) of images under one encoder; `about` holds all that decides their values, and names the folder.

    `note` receives a line for a damaged file, and for a disk that takes no file.
    """

    root: Path
    about: dict
    note: Callable[[str], None]

    @property
    def folder(self) -> Path:
        """Return the folder of this encoder's features."""
        key = hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()
        return self.root / "features" / key[:32]

    def read(self, digests: Sequence[bytes], looks: int, width: int) -> tuple[Tensor, np.ndarray]:
        """Return features (N, L, d) float16 for the sha256 of N images, and which of them the cache holds, (N,) bool in numpy.

        A damaged file is removed and its images count as not held.
        """
        features = torch.zeros(len(digests), looks, width, dtype=torch.float16)
        is_held = np.zeros(len(digests), dtype=bool)
        positions: dict[bytes, list[int]] = {}
        for position, digest in enumerate(digests):
            positions.setdefault(digest, []).append(position)
        for path in sorted(filter(Path.is_file, self.folder.glob("*.safetensors"))):
            try:
                self._read_file(path, positions, features, is_held)
            except (SafetensorError, LongtailError, OSError, ValueError, RuntimeError):
                path.unlink(missing_ok=True)
                self.note(
                    f"the cached features {path} are damaged; the file is removed, and its images are computed again"
                )
        return features, is_held

    def _read_file(self, path: Path, positions: dict[bytes, list[int]], features: Tensor, is_held: np.ndarray) -> None:
        """Copy the wanted rows of a file; raises an error for a damaged file."""
        with safe_open(path, "pt") as file:
            names = [row.tobytes() for row in file.get_tensor("images").numpy()]
            pairs = [(row, to) for row, name in enumerate(names) for to in positions.get(name, ())]
            if not pairs:
                return
            if hash_file(path) != path.stem:
                raise ValueError("the content is not the one that the name says")
            rows, targets = np.array(pairs).T
            features[torch.from_numpy(targets)] = file.get_tensor("features")[torch.from_numpy(rows)]
            is_held[targets] = True

    def write(self, digests: Sequence[bytes], features: Tensor) -> bool:
        """Add the features (N, L, d) of N images in one file; returns False, after a note, if the disk takes none."""
        images = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8).view(len(digests), -1)
        content = save({"images": images, "features": features.half().contiguous()})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / ABOUT).exists():
                write_json(self.folder / ABOUT, self.about)
            write_bytes(self.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors", content)
        except (OSError, LongtailError) as error:
            self.note(f"the features are not cached: {' '.join(str(error).split())}; --cache names another folder")
            return False
        return True


def list_cache(root: Path) -> list[dict]:
    """Return for each encoder in the cache its description, and the images and bytes that are kept.

    A damaged file counts with its bytes and no images: no run uses it. Raises LongtailError for a damaged description.
    """
    entries = []
    for about in sorted(root.glob(f"features/*/{ABOUT}")):
        files = list(about.parent.glob("*.safetensors"))
        images, size = sum(map(count_images, files)), sum(path.stat().st_size for path in files)
        entries.append(read_json(about) | {"folder": str(about.parent), "images": images, "bytes": size})
    return entries


def count_images(path: Path) -> int:
    """Return the number of images whose features a file holds; 0 for a damaged file."""
    try:
        with safe_open(path, "pt") as file:
            return file.get_slice("images").get_shape()[0]
    except (SafetensorError, OSError):
        return 0


def clear_cache(root: Path) -> int:
    """Remove the cached features below a folder, and nothing else; returns the bytes that were freed.

    Raises LongtailError for a folder that cannot be removed.
    """
    freed = 0
    for about in root.glob(f"features/*/{ABOUT}"):
        size = sum(path.stat().st_size for path in about.parent.glob("*.safetensors"))
        try:
            shutil.rmtree(about.parent)
        except OSError as error:
            raise LongtailError(f"{about.parent} cannot be removed: {error}") from error
        freed += size
    return freed
