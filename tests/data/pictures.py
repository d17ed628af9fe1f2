"""Images made for tests: small files of any kind, good and bad."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, value: int = 0, size: tuple[int, int] = (12, 10)) -> Path:
    """Write a one-color PNG whose red is `value`, so that files with other values differ."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value % 256, value // 256, 7)).save(path, "PNG")
    return path


def class_folders(folder: Path, counts: dict[str, int], first: int = 0) -> Path:
    """Write class folders with the given numbers of images, all different."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(folder / name / f"{i}.png", first)
            first += 1
    return folder


def colored_photos(folder: Path, train: tuple[int, int, int], test: tuple[int, int, int]) -> Path:
    """Write three classes that differ in color, as PNGs of 40 x 50 pixels, with these numbers of images."""
    generator = np.random.default_rng(0)
    for subset, counts in (("train", train), ("test", test)):
        for c, n in enumerate(counts):
            where = folder / subset / f"class{c}"
            where.mkdir(parents=True)
            for i in range(n):
                pixels = generator.integers(0, 120, (40, 50, 3)) + 120 * (np.arange(3) == c)
                Image.fromarray(pixels.astype(np.uint8)).save(where / f"{i}.png")
    return folder


def encoded(image: Image.Image, kind: str = "PNG", **how) -> bytes:
    """Encode an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def noise(size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Make an RGB image that does not compress."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8))


def bad_files(folder: Path) -> dict[str, str]:
    """Write every kind of unusable file; returns a pattern of the expected reason by name."""
    folder.mkdir(parents=True, exist_ok=True)
    jpeg, png = encoded(noise(), "JPEG"), encoded(noise())
    contents = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"not an image at all", "not an image"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "cut.png": (png[: len(png) // 2], "truncated"),
        "head.png": (png[:20], "[Tt]runcated|not an image"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    os.symlink(folder / "nowhere.jpg", folder / "broken_link.jpg")
    os.symlink(folder / "itself.jpg", folder / "itself.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return {name: why for name, (_, why) in contents.items()} | {
        "broken_link.jpg": "link to nothing",
        "itself.jpg": "symbolic links",
        "pipe.jpg": "not a regular file",
    }
