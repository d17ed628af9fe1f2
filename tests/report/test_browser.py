"""The page in a browser: sorting, filtering, small screens, dark mode, keyboard, and no request to a network."""

import itertools
import shutil
from contextlib import contextmanager

import pytest
from made_up_runs import made_up

from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.report import write_report
from longtail.tracking import SilentReport

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
