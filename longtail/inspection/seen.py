"""Images of a pool that a run knows already, by their content."""

import os
from collections.abc import Iterator, Sequence

from longtail.augment import TransformSet
from longtail.data import Split, TensorImages
from longtail.data.decode import BadImage, hash_source
from longtail.data.lazy import ImageIndex
from longtail.inference.images import decode_batches


def find_known_images(paths: Sequence[str], split: Split, transform_set: TransformSet) -> list[str | None]:
    """Return for each file the subset of a split that holds an image of the same content, None if there is none.

    Files are compared byte by byte, and only read if their size occurs on both sides. A set in memory that came from no files
    is compared with the decoded pixels.
    """
    known: list[str | None] = [None] * len(paths)
    pixels: list[bytes] | None = None
    for name, images in split.subsets.items():
        if images.index is not None:
            same = match_files(paths, images.index)
        else:
            pixels = pixels or list(iterate_pixels(paths, transform_set))
            there = {image.numpy().tobytes() for image in images.images} if isinstance(images, TensorImages) else set()
            same = [content in there for content in pixels]
        known = [name if is_same and kind is None else kind for kind, is_same in zip(known, same, strict=True)]
    return known


def match_files(paths: Sequence[str], index: ImageIndex) -> list[bool]:
    """Return for each file whether an image of an index has the same bytes."""
    sizes = [os.path.getsize(path) if os.path.isfile(path) else -1 for path in paths]
    wanted = set(sizes)
    seen, there = set[bytes](), set[int]()
    for i in range(len(index)):
        if (size := index.size(i)) in wanted:
            there.add(size)
            seen.add(hash_readable(index.source(i), index.name(i)))
    seen.discard(b"")
    return [size in there and hash_readable(path, path) in seen for path, size in zip(paths, sizes, strict=True)]


def hash_readable(source: str | bytes, name: str) -> bytes:
    """Compute the sha256 of an image file, b"" if the file cannot be read."""
    try:
        return hash_source(source, name)
    except BadImage:
        return b""


def iterate_pixels(paths: Sequence[str], transform_set: TransformSet) -> Iterator[bytes]:
    """Yield the pixels of each image as they are evaluated, b"" for an unreadable one, in the order of the paths."""
    for start in range(0, len(paths), 512):
        batch = paths[start : start + 512]
        for good, images, _ in decode_batches(batch, transform_set):
            found = dict(zip(good, (image.numpy().tobytes() for image in images), strict=True))
            yield from (found.get(path, b"") for path in batch)
