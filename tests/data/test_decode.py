"""Images of every mode and depth become RGB, and errors name the file and the reason."""

import pickle
import warnings

import numpy as np
import pytest
from PIL import Image

from longtail import LongtailError
from longtail.data import decode
from tests.data.pictures import bad_files, encoded, noise

RAMP = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
GRAY = np.arange(256, dtype=np.uint8).reshape(16, 16)


def pixels(content: bytes, **how) -> np.ndarray:
    image = decode.read_image(content, "here", **how)
    assert image.mode == "RGB"
    return np.asarray(image)


def ramp(image: Image.Image, kind: str = "PNG") -> np.ndarray:
    found = pixels(encoded(image, kind))
    assert (found[..., 0] == found[..., 1]).all() and (found[..., 0] == found[..., 2]).all()
    return found[..., 0]


GRAYS = {
    "8": (Image.fromarray(GRAY), "PNG"),
    "16": (Image.fromarray(RAMP), "PNG"),
    "16 tiff": (Image.fromarray(RAMP), "TIFF"),
    "16 big-endian": (Image.fromarray(RAMP.astype(">u2")), "TIFF"),
    "32 in 16": (Image.fromarray(RAMP.astype(np.int32)), "TIFF"),
    "32 in 8": (Image.fromarray(GRAY.astype(np.int32)), "TIFF"),
    "float 1": (Image.fromarray(GRAY.astype(np.float32) / 255), "TIFF"),
    "float 255": (Image.fromarray(GRAY.astype(np.float32)), "TIFF"),
}


@pytest.mark.parametrize("case", GRAYS)
def test_gray_of_every_depth_keeps_its_ramp(case):
    image, kind = GRAYS[case]
    assert np.abs(ramp(image, kind).astype(int) - GRAY).max() <= 1


def test_numbers_outside_every_usual_range_are_stretched_and_nan_is_black():
    values = np.array([[-2.0, 0.0], [2.0, np.nan]], dtype=np.float32)
    assert ramp(Image.fromarray(values), "TIFF").tolist() == [[0, 128], [255, 128]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"])
def test_every_color_mode_becomes_rgb(mode):
    white = (
        Image.new("RGB", (8, 8), "white").convert(mode) if mode != "LAB" else Image.new("LAB", (8, 8), (255, 128, 128))
    )
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "TIFF" if mode == "LAB" else "PNG"
    assert pixels(encoded(white, kind)).min() > 240


def test_transparent_pixels_become_white():
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    clear.putpixel((0, 0), (200, 0, 0, 255))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    for content in (encoded(clear), encoded(clear.convert("LA")), encoded(palette, transparency=1)):
        assert pixels(content)[4, 4].tolist() == [255, 255, 255]
    assert pixels(encoded(clear))[0, 0].tolist() == [200, 0, 0]


def test_exif_turns_the_image_and_only_the_first_frame_is_taken():
    image = Image.new("RGB", (16, 8), "black")
    image.paste("white", (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    found = pixels(encoded(image, "JPEG", exif=exif))
    assert found.shape == (16, 8, 3) and found[2].min() > 200 and found[13].max() < 60
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    assert pixels(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))[4, 4].tolist() == [255, 0, 0]


def test_unusable_files_are_named_with_the_reason(tmp_path):
    for name, why in bad_files(tmp_path).items():
        path = str(tmp_path / name)
        for action in (decode.read_image, decode.read_header):
            with pytest.raises(decode.BadImage, match=why) as caught:
                action(path, path)
            assert str(caught.value).startswith(path) and "\n" not in str(caught.value), name
    with pytest.raises(LongtailError, match="no such file"):
        decode.read_image(str(tmp_path / "gone.png"), "gone")
    with pytest.raises(LongtailError, match="not a regular file"):
        decode.read_image(str(tmp_path), "folder")


def test_the_error_of_an_image_travels_to_other_processes():
    error = pickle.loads(pickle.dumps(decode.BadImage("a.png", "no image")))
    assert (str(error), error.where, error.reason) == ("a.png: no image", "a.png", "no image")


def test_reading_a_header_decodes_the_rest_only_on_request_or_suspicion():
    content = bytearray(encoded(noise()))
    content[len(content) // 2] ^= 255  # damaged in the middle: its checksum is wrong
    assert decode.read_header(bytes(content), "here") == decode.ImageHeader(40, 30, "RGB", "PNG")
    with pytest.raises(decode.BadImage):
        decode.read_header(bytes(content), "here", whole=True)


def test_images_of_huge_size_are_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings(record=True) as heard, decode.suppress_pillow_warnings():
        for size in ((40, 30), (60, 50)):  # Pillow itself warns of the first and refuses the second
            with pytest.raises(decode.BadImage, match="over 1,000 pixels, refused"):
                decode.read_image(encoded(noise(size)), "here")
    assert not heard


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (8, 8), (1, 50), (500, 3)])
def test_a_square_is_the_resized_center(size):
    found = decode.fit_square(noise(size), 16)
    assert found.shape == (16, 16, 3) and found.dtype == np.uint8
    side = min(size)
    left, top = (size[0] - side) / 2, (size[1] - side) / 2
    box = (left, top, left + side, top + side)
    expected = np.asarray(noise(size).resize((16, 16), Image.Resampling.BILINEAR, box=box))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_large_jpeg_is_read_at_a_reduced_scale_that_shows_the_same():
    smooth = Image.fromarray(np.linspace(0, 255, 800 * 800).reshape(800, 800).astype(np.uint8)).convert("RGB")
    content = encoded(smooth, "JPEG")
    reduced = decode.read_image(content, "here", min_side=32)
    assert 64 <= min(reduced.size) < 800
    whole = decode.fit_square(decode.read_image(content, "here"), 32).astype(int)
    assert np.abs(decode.fit_square(reduced, 32) - whole).max() <= 2
