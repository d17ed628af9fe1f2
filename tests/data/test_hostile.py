"""Files that are cut, damaged, huge, or no files at all are refused in a line; odd but good files keep their pixels."""

import os
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from longtail import LongtailError
from longtail.augment import get_transform_set
from longtail.data import decode, rgb
from longtail.data.endings import has_end_marker
from longtail.errors import is_special_file
from longtail.inference.images import to_image_tensor
from tests.data.pictures import encoded, noise

RNG = np.random.default_rng(0)
JPEG, PROGRESSIVE = encoded(noise((200, 200)), "JPEG"), encoded(noise((200, 200)), "JPEG", progressive=True)
THUMBNAIL = encoded(noise((200, 200)), "JPEG", exif=b"Exif\0\0" + encoded(noise((8, 8)), "JPEG"))
FOLLOWING = {
    "nothing": b"",
    "zeros": bytes(20_000),
    "ones": b"\xff" * 20_000,
    "text": b"<html>not found</html>" * 500,
    "another JPEG": JPEG,
    "another PNG": encoded(noise()),
}


def read_pixels(content: bytes) -> np.ndarray:
    return np.asarray(decode.read_image(content, "here"))


@pytest.mark.parametrize("following", FOLLOWING)
@pytest.mark.parametrize("whole", [JPEG, PROGRESSIVE, THUMBNAIL], ids=["baseline", "progressive", "thumbnail"])
def test_a_jpeg_without_its_end_is_cut_whatever_follows(whole, following):
    for share in (0.5, 0.9):
        content = whole[: int(len(whole) * share)] + FOLLOWING[following]
        for action in (decode.read_image, decode.read_header):
            with pytest.raises(decode.BadImage, match="truncated"):
                action(content, "here")


@pytest.mark.parametrize("whole", [JPEG, PROGRESSIVE, THUMBNAIL], ids=["baseline", "progressive", "thumbnail"])
def test_a_whole_jpeg_is_read_whatever_follows(whole):
    for following in FOLLOWING.values():
        assert np.array_equal(read_pixels(whole + following), read_pixels(whole))
        assert decode.read_header(whole + following, "here").format == "JPEG"


@pytest.mark.parametrize("block", [7, 1 << 16])
def test_a_png_with_a_flipped_bit_in_its_data_is_never_read_as_another_image(block, monkeypatch):
    monkeypatch.setattr("longtail.data.endings.BLOCK", block)
    for image in (Image.linear_gradient("L"), Image.linear_gradient("L").convert("RGB").resize((30, 20))):
        whole = encoded(image)
        pixels, first, last = read_pixels(whole), whole.index(b"IDAT"), len(whole) - 16
        assert last - first < 2000
        for place in range(first, last):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << place % 8
            try:
                assert np.array_equal(read_pixels(bytes(damaged)), pixels)
            except decode.BadImage as error:
                assert "\n" not in str(error)


def test_markers_are_found_across_blocks(monkeypatch):
    for block in range(3, 40):
        monkeypatch.setattr("longtail.data.endings.BLOCK", block)
        assert has_end_marker(PROGRESSIVE, "JPEG") and not has_end_marker(PROGRESSIVE[:-1] + b"\0", "JPEG")


GRAYS = {"float": (np.float32, (1.0, 255.0, 65535.0)), "whole": (np.int32, (255.0, 65535.0))}


@pytest.mark.parametrize("kind", GRAYS)
def test_brightness_does_not_jump_with_the_largest_value(kind):
    for share in (0.0, -0.01, -0.001):
        tops = np.unique(np.geomspace(*((1.0 if kind == "float" else 255.0), 1e6), 2000).astype(GRAYS[kind][0]))
        shade = [top / find_range(kind, share * top, top)[1] for top in tops]
        assert max(abs(np.diff(np.log(shade)))) < 0.03, share


@pytest.mark.parametrize("kind", GRAYS)
def test_brightness_does_not_jump_with_the_smallest_value(kind):
    for top in (0.3, 1.0, 40.0, 200.0, 255.0, 3000.0) if kind == "float" else (200, 255, 3000):
        lows = np.unique(-np.linspace(0, 0.2 * top, 2000).astype(GRAYS[kind][0]))
        highs = [find_range(kind, low, top)[1] for low in lows]
        assert max(abs(np.diff(np.log(highs)))) < 0.03, top


def find_range(kind: str, low: float, top: float) -> tuple[float, float]:
    return rgb.find_gray_range(Image.fromarray(np.array([[low, top]], dtype=GRAYS[kind][0])))


@pytest.mark.parametrize("kind", GRAYS)
def test_usual_ranges_stay_as_they_are_and_inspect_names_them(kind):
    dtype, tops = GRAYS[kind]
    for top in tops:
        values = np.linspace(0, top, 64).reshape(8, 8).astype(dtype)
        content = encoded(Image.fromarray(values), "TIFF")
        assert np.array_equal(read_pixels(content)[..., 0], (values * (255 / top)).round().astype(np.uint8))
        assert decode.read_header(content, "here").gray_range == f"0-{top:.0f}"
    odd = np.array([[-500, 700]], dtype=dtype)
    assert decode.read_header(encoded(Image.fromarray(odd), "TIFF"), "here").gray_range == "other range"


def png(
    color: int, depth: int, rows: list[bytes], width: int, transparency: bytes = b"", palette: bytes = b""
) -> bytes:
    """Encode a PNG of any color type and depth, which Pillow cannot."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", palette), (b"tRNS", transparency)]
    chunks = b"".join(chunk(kind, content) for kind, content in parts if content)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


# two pixels, the first transparent and the second opaque, both darker than white
TRANSPARENT = {
    "gray 1": png(0, 1, [b"\x40"], 2, b"\0\0"),
    "gray 2": png(0, 2, [b"\x90"], 2, b"\0\2"),
    "gray 4": png(0, 4, [b"\x95"], 2, b"\0\x09"),
    "gray 8": png(0, 8, [b"\x70\x71"], 2, b"\0\x70"),
    "gray 16": png(0, 16, [b"\x70\x01\x70\x02"], 2, b"\x70\x01"),
    "RGB 8": png(2, 8, [b"\x70\x71\x72\x70\x71\x73"], 2, b"\0\x70\0\x71\0\x72"),
    "RGB 16": png(2, 16, [b"\x70\1\x71\2\x72\3\x70\1\x71\2\x72\4"], 2, b"\x70\1\x71\2\x72\3"),
    "palette 1": png(3, 1, [b"\x40"], 2, b"\0", b"\x20\x20\x20\x30\x30\x30"),
    "palette 2": png(3, 2, [b"\x40"], 2, b"\xff\0", b"\x20\x20\x20\x30\x30\x30"),
    "palette 4": png(3, 4, [b"\x10"], 2, b"\xff\0", b"\x20\x20\x20\x30\x30\x30"),
    "palette 8": png(3, 8, [b"\0\1"], 2, b"\0\xfe", b"\x20\x20\x20\x30\x30\x30"),
    "gray and alpha 8": png(4, 8, [b"\x70\0\x70\xff"], 2),
    "gray and alpha 16": png(4, 16, [b"\x70\0\0\0\x70\0\xff\xff"], 2),
    "RGBA 8": png(6, 8, [b"\x70\x71\x72\0\x70\x71\x72\xff"], 2),
    "RGBA 16": png(6, 16, [b"\x70\0\x71\0\x72\0\0\0\x70\0\x71\0\x72\0\xff\xff"], 2),
}


@pytest.mark.parametrize("case", TRANSPARENT)
def test_transparency_of_every_mode_and_depth_of_png_becomes_white(case):
    clear, opaque = read_pixels(TRANSPARENT[case])[0]
    assert clear.tolist() == [255] * 3
    assert opaque.max() < 200 or case == "gray 1"  # the other value of 1 bit is white


def test_a_color_that_no_pixel_has_makes_nothing_white():
    assert read_pixels(png(0, 1, [b"\x00"], 2, b"\0\1")).max() == 0
    assert read_pixels(png(0, 4, [b"\x22"], 2, b"\0\x22"))[0, 0].tolist() == [255] * 3  # only the lower 4 bits count
    assert read_pixels(png(2, 16, [b"\x70\1\x71\2\x72\3"], 1, b"\x70\1\x71\2\x72\4")).max() == 0x72


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_transparency_of_images_of_any_mode_becomes_white(mode):
    base = Image.new("RGBA", (3, 2), (9, 9, 9, 0)).convert({"RGBa": "RGBA", "La": "LA"}.get(mode, mode))
    assert np.asarray(decode.to_upright_rgb(base.convert(mode))).min() == 255


def test_strips_change_no_pixel(monkeypatch):
    images = [
        Image.fromarray(RNG.integers(0, 256, (33, 21, 4), np.uint8)),
        Image.fromarray(RNG.random((33, 21), np.float32)),
    ]
    images += [Image.fromarray(RNG.integers(0, 65536, (33, 21)).astype(np.uint16)), noise().convert("P")]
    images[-1].info["transparency"] = 5
    whole = [np.asarray(rgb.to_rgb(image)) for image in images]
    monkeypatch.setattr(rgb, "STRIP", 50)
    assert all(np.array_equal(np.asarray(rgb.to_rgb(image)), old) for image, old in zip(images, whole, strict=True))


BROKEN_EXIF = [
    b"Exif\0\0\0\x08\0\x02\x01\x12\0\x03",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\1",
    b"Exif",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_that_cannot_be_parsed_means_no_turn(kind, tmp_path):
    path = tmp_path / "odd"
    for exif in BROKEN_EXIF:
        path.write_bytes(encoded(noise(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})))
        plain = encoded(noise(), kind, **({"lossless": True} if kind == "WEBP" else {}))
        assert np.array_equal(read_pixels(path.read_bytes()), read_pixels(plain))
        decode.read_header(str(path), "here", whole=True)
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(decode.to_upright_rgb(image)), read_pixels(plain))


def test_a_tiff_with_damaged_tags_keeps_its_pixels():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x8768], tags.tagtype[0x8768] = 5, 4
    content = encoded(noise(), "TIFF", tiffinfo=tags)
    # the tag becomes one of XMP text that holds a number, at which Pillow fails
    damaged = content.replace(struct.pack("<HHII", 0x8768, 4, 1, 5), struct.pack("<HHII", 700, 3, 1, 5))
    assert damaged != content and np.array_equal(read_pixels(damaged), np.asarray(noise()))


@pytest.mark.filterwarnings("ignore")
def test_inspection_and_reader_agree_on_damaged_files():
    kinds = {kind: encoded(noise(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")}
    for kind, content in kinds.items():
        for _ in range(60):
            damaged = bytearray(content)
            damaged[RNG.integers(len(content))] ^= 1 << RNG.integers(8)
            judged = []
            for action in (decode.read_image, lambda source, where: decode.read_header(source, where, whole=True)):
                try:
                    judged.append(bool(action(bytes(damaged), "here")))
                except decode.BadImage:
                    judged.append(False)
            assert judged[0] == judged[1], kind


def test_an_image_that_would_fill_memory_is_refused_by_its_header():
    side = 9400
    content = png(0, 16, [b""], side)[:33]  # the header alone, with the other side set below
    header = content[:16] + struct.pack(">II", side, side) + content[24:29]
    content = header + struct.pack(">I", zlib.crc32(header[12:])) + encoded(noise())[33:]
    for action in (decode.read_image, decode.read_header):
        with pytest.raises(decode.BadImage, match="here: 9,400 x 9,400 pixels of mode I;16 take") as error:
            action(content, "here")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_common_images_up_to_the_pixel_limit_are_not_refused(mode):
    assert Image.MAX_IMAGE_PIXELS * decode.PIXEL_BYTES.get(mode, 8) <= decode.MAX_BYTES


def test_threads_decode_big_images_one_after_another(monkeypatch):
    monkeypatch.setattr(decode, "BIG_BYTES", 0)
    open_now, most = 0, 0
    load = decode.load_pixels

    def count_and_load(image):
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        time.sleep(0.01)
        load(image)
        open_now -= 1

    monkeypatch.setattr(decode, "load_pixels", count_and_load)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(read_pixels, [encoded(noise())] * 12))) == 12
    assert most == 1


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(3, 8, 8, dtype=torch.uint8).to_sparse(), torch.zeros(3, 8, 8, dtype=torch.uint8, device="meta")],
)
def test_a_tensor_without_pixels_in_memory_is_refused(tensor):
    with pytest.raises(LongtailError, match="is no image; make a dense one on cpu"):
        to_image_tensor(tensor, get_transform_set("digits"))


def test_special_files_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    os.mkfifo("pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        for path in ("pipe.png", "socket.png", "/dev/zero", "/dev/null"):
            assert is_special_file(path)
            for action in (decode.read_image, decode.read_header):
                with pytest.raises(decode.BadImage, match="not a regular file"):
                    action(path, path)
    assert not is_special_file("gone") and not is_special_file(".") and not is_special_file("a\0b")
