"""`longtail predict --gallery`: a page of predicted images, by class and the least certain first."""

import re
from html import unescape

import pytest
from PIL import Image

from longtail import LongtailError
from longtail.report import gallery
from longtail.report.gallery import PredictedImage, check_gallery_path, fit_quota, write_gallery

EEL, COD = "Anguilla_anguilla_glass_stage", "Gadus <b>morhua"


@pytest.fixture
def images(tmp_path) -> list[PredictedImage]:
    """Write photographs of which three are predicted as one class and one as another."""
    found = []
    for i, (label, probability) in enumerate([(EEL, 0.9), (COD, 0.8), (EEL, 0.4), (EEL, 0.7)]):
        path = tmp_path / "disk" / "photos" / ("day <1>" if i % 2 else "day 2") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (400, 300), (60 * i, 10, 10)).save(path)
        found.append(PredictedImage(str(path), label, probability))
    return found


def read_photographs(html: str) -> list[tuple[str, str]]:
    """Return name and probability of each photograph of a page."""
    pattern = r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]*)"[^>]*>\s*<b>([\d.]+) %</b>'
    return [(unescape(name), share) for name, share in re.findall(pattern, html)]


def test_photographs_stand_by_class_the_least_certain_first_with_relative_names(images, tmp_path):
    write_gallery(tmp_path / "page.html", images, ["other", COD, EEL], "bc on run", "4 images")
    html = (tmp_path / "page.html").read_text()
    eels = [("day 2/2.jpg", "40.0"), ("day <1>/3.jpg", "70.0"), ("day 2/0.jpg", "90.0")]
    assert read_photographs(html) == [("day <1>/1.jpg", "80.0"), *eels]
    heads = [unescape(re.sub("<[^>]*>", "", head)) for head in re.findall(r"<h2>(.*?)</h2>", html)]
    assert heads == [f"{COD} 1", f"{EEL} 3"] and "Anguilla_<wbr>anguilla_<wbr>glass_<wbr>stage" in html


def test_the_page_holds_no_absolute_path_script_markup_of_names_or_link_to_a_network(images, tmp_path):
    write_gallery(tmp_path / "page.html", images, [COD, EEL], "bc", "4 images")
    html = (tmp_path / "page.html").read_text()
    assert str(tmp_path) not in html and "<script" not in html and "<b>morhua" not in html and "day <1>" not in html
    assert not re.search(r"https?://|src=(?!\"data:image/)", html) and "default-src 'none'; img-src data:" in html


def test_of_very_many_images_the_least_certain_of_each_class_are_shown(images, tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_PICTURES", 3)
    write_gallery(tmp_path / "page.html", images, [COD, EEL], "bc", "4 images")
    html = (tmp_path / "page.html").read_text()
    assert [name for name, _ in read_photographs(html)] == ["day <1>/1.jpg", "day 2/2.jpg", "day <1>/3.jpg"]
    assert "The 2 least certain." in html


@pytest.mark.parametrize(
    "sizes, total, quota", [([3, 1], 10, 3), ([100, 1, 50], 21, 10), ([5] * 10, 3, 1), ([10**6], 1000, 1000)]
)
def test_a_quota_shows_as_many_images_as_fit(sizes, total, quota):
    assert fit_quota(sizes, total) == quota


def test_an_image_that_is_gone_meanwhile_is_named_without_a_picture(images, tmp_path):
    (tmp_path / "disk" / "photos" / "day 2" / "0.jpg").unlink()
    write_gallery(tmp_path / "page.html", images, [COD, EEL], "bc", "4 images")
    html = (tmp_path / "page.html").read_text()
    assert len(read_photographs(html)) == 3 and "day 2/<wbr>0.jpg" in html


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    cases = {
        "mine.html": "exists already and is left as it is",
        "page.txt": "must end in .html",
        "no/x.html": "is not a folder; make it, or choose another --gallery",
    }
    for name, message in cases.items():
        with pytest.raises(LongtailError, match=message):
            check_gallery_path(tmp_path / name)
    check_gallery_path(tmp_path / "new.html")
