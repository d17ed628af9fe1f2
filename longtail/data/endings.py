"""The ends of image files, without which a JPEG or PNG was cut off, and the checksums of PNG data."""

import io
import os
import re
import zlib
from typing import BinaryIO

TAIL = 64  # bytes searched for the end of a PNG; editors append a few
BLOCK = 1 << 16  # bytes of a JPEG searched at a time
JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)  # 00 is data, 01 and D0-D7 have no content
# between the scans of a JPEG: tables (C4, CC, DB, DD), scans (DA), heights (DC), applications (E0-EF) and comments (FE)
BETWEEN_SCANS = frozenset(b"\xc4\xcc\xda\xdb\xdc\xdd\xfe" + bytes(range(0xE0, 0xF0)))


def has_end_marker(source: str | bytes, kind: str) -> bool:
    """Return whether a JPEG or PNG has its end marker, so that the file is complete; False for other formats."""
    if kind not in ("JPEG", "MPO", "PNG"):
        return False
    with open(source, "rb") if isinstance(source, str) else io.BytesIO(source) as file:
        if kind != "PNG":
            return has_jpeg_end(file)
        file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
        return b"IEND" in file.read()


def has_jpeg_end(file: BinaryIO) -> bool:
    """Return whether a JPEG ends with its end marker (ITU T.81, B.1), whatever follows or stands in its other segments.

    Segments are skipped by their length, and data of a scan is searched for the next marker.
    """
    position, has_scan = 2, False
    while True:
        file.seek(position)
        block = file.read(BLOCK)
        found = JPEG_MARKER.search(block)
        if found is None:
            if len(block) < BLOCK:
                return False
            position += BLOCK - 1  # the last byte may be the first of a marker
            continue
        marker = found[1][0]
        if marker == 0xD9:
            return has_scan
        if has_scan and marker not in BETWEEN_SCANS:
            return False
        file.seek(position + found.end())
        position += found.end() + max(int.from_bytes(file.read(2)), 2)
        has_scan = has_scan or marker == 0xDA


def has_png_checksums(source: str | bytes) -> bool:
    """Return whether each data chunk of a PNG has its checksum (PNG, 3rd edition, 5.3); Pillow compares all others only.

    A file that ends within a chunk is left to Pillow, which calls the image truncated.
    """
    with open(source, "rb") if isinstance(source, str) else io.BytesIO(source) as file:
        file.seek(8)  # the signature
        while len(head := file.read(8)) == 8:
            left, kind = int.from_bytes(head[:4]), head[4:]
            if kind != b"IDAT":
                file.seek(left + 4, os.SEEK_CUR)
                continue
            checksum = zlib.crc32(kind)
            while left and (block := file.read(min(left, BLOCK))):
                checksum, left = zlib.crc32(block, checksum), left - len(block)
            kept = file.read(4)
            if len(kept) == 4 and int.from_bytes(kept) != checksum:
                return False
    return True
