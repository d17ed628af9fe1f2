"""Hostile data sets: each is a sound set of class folders with one fault, which training must refuse in one line."""

import os
import socket
import struct
import zlib
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

from tests.data.pictures import bad_files, class_folders, encoded, noise

IMAGE = "data/train/ant/x"  # path of the hostile image, without suffix


def write_png(path: Path, width: int, height: int) -> None:
    """Write a PNG of 16-bit colors that are all 0, which is small as a file and huge in memory."""
    deflate = zlib.compressobj(9)
    row = bytes(1 + 6 * width)
    content = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)), (b"IDAT", content), (b"IEND", b""))
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in chunks:
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def write_changed(path: Path, kind: str, change: Callable[[bytes], bytes]) -> None:
    """Write an image of a kind whose bytes are changed."""
    path.write_bytes(change(encoded(noise((200, 200)), kind)))


def write_parquet(path: Path, columns: dict, names: list[str] | None = None) -> None:
    """Write a parquet table of columns, under other names where given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns)
    pq.write_table(table.rename_columns(names) if names else table, path)


def write_rows(path: Path, header: str, rows: list[str]) -> None:
    """Write a table of text."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def list_images(folder: Path) -> list[str]:
    """Write sound class folders and return the paths of their training images."""
    return sorted(str(path.relative_to(folder)) for path in (folder / "data").rglob("*.png"))


def build_empty_label(folder: Path) -> str:
    """Write a table in which one image has no label."""
    rows = [f"{path},c{i % 2}" for i, path in enumerate(list_images(folder))]
    write_rows(folder / "list.csv", "path,label", [*rows, f"{list_images(folder)[0]},"])
    return "list.csv"


def write_image(suffix: str, kind: str, change: Callable[[bytes], bytes]) -> Callable[[Path], str]:
    """Return the builder of class folders that hold one changed image."""

    def build(folder: Path) -> str:
        write_changed(folder / f"{IMAGE}.{suffix}", kind, change)
        return "data"

    return build


def write_special(name: str) -> Callable[[Path], str]:
    """Return the builder of a FIFO, which is named as the data or stands among the images."""

    def build(folder: Path) -> str:
        os.mkfifo(folder / name)
        return "data" if name.startswith("data/") else name

    return build


def write_table(columns: Callable[[list[str]], dict], names: list[str] | None = None) -> Callable[[Path], str]:
    """Return the builder of a parquet table, from the paths of the images."""

    def build(folder: Path) -> str:
        write_parquet(folder / "a.parquet", columns(list_images(folder)), names)
        return "a.parquet"

    return build


def build_giant_png(folder: Path) -> str:
    """Write a PNG of less than a megabyte that decodes to one gigabyte."""
    write_png(folder / f"{IMAGE}.png", 11_000, 11_000)
    return "data"


def build_bad_files(folder: Path) -> str:
    """Write every kind of unusable file among the images."""
    bad_files(folder / "data" / "train" / "ant")
    return "data"


def build_socket(folder: Path) -> str:
    """Write a socket among the images."""
    with chdir(folder), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{IMAGE}.png")
    return "data"


def build_device(folder: Path) -> str:
    """Link an image to a device that never ends."""
    (folder / f"{IMAGE}.png").symlink_to("/dev/zero")
    return "data"


def build_part_folders(folder: Path) -> str:
    """Write folders named like subsets where classes stand."""
    class_folders(folder / "parts", {"training/a": 4, "training/b": 4, "testing/a": 2, "testing/b": 2}, 100)
    return "parts"


def build_header_twice(folder: Path) -> str:
    """Write a table whose column of labels stands twice."""
    write_rows(folder / "list.csv", "path,label,label", [f"{path},a,b" for path in list_images(folder)])
    return "list.csv"


def build_long_list(folder: Path) -> str:
    """Write a list without line breaks."""
    (folder / "list.txt").write_bytes(b"\0" * (1 << 20))
    return "list.txt"


PNG = encoded(noise())
BUILDERS: dict[str, Callable[[Path], str]] = {
    "a PNG of 16-bit colors, 11000 x 11000": build_giant_png,
    "eight kinds of unusable files": build_bad_files,
    "a JPEG cut in half, then zeros": write_image("jpg", "JPEG", lambda c: c[: len(c) // 2] + bytes(len(c) // 2)),
    "a JPEG cut in half": write_image("jpg", "JPEG", lambda c: c[: len(c) // 2]),
    "a PNG with zeros in its middle": write_image("png", "PNG", lambda c: c[:9000] + bytes(500) + c[9500:]),
    "a PNG with a wrong checksum": write_image("png", "PNG", lambda c: c[:-16] + bytes([c[-16] ^ 1]) + c[-15:]),
    "a socket among images": build_socket,
    "a link to /dev/zero among images": build_device,
    "a FIFO among images": write_special(f"{IMAGE}.png"),
    "a FIFO as table": write_special("list.csv"),
    "a FIFO as list": write_special("list.txt"),
    "a FIFO as parquet file": write_special("a.parquet"),
    "a FIFO as data": write_special("folder"),
    "a parquet file of 3,000,000 empty rows": write_table(
        lambda paths: {"image": [None] * 3_000_000, "label": [0] * 3_000_000}
    ),
    "a parquet file of numbers as paths": write_table(lambda paths: {"path": [*range(8)], "label": [0, 1] * 4}),
    "a parquet file with two columns of images": write_table(
        lambda paths: {"image": [PNG] * 8, "other": [PNG] * 8, "label": [0, 1] * 4}, ["image", "image", "label"]
    ),
    "a parquet file of numbers as images": write_table(lambda paths: {"image": [1.5] * 8, "label": [0, 1] * 4}),
    "a table whose label column stands twice": build_header_twice,
    "a table with an empty label": build_empty_label,
    "a list of a million zero bytes": build_long_list,
    "folders named like subsets": build_part_folders,
}


def build(folder: Path, name: str) -> str:
    """Write sound class folders with the named fault into a folder; returns the data to train on."""
    class_folders(folder / "data" / "train", {"ant": 8, "bee": 5})
    class_folders(folder / "data" / "test", {"ant": 2, "bee": 2}, 20)
    return BUILDERS[name](folder)
