"""The page of `longtail try` in a browser: a photograph is chosen, dropped or pasted, and a class prior is moved."""

import base64
import json
import re
import shutil

import pytest

import longtail
from tests.tryout.serving import serve

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def visited(digits):
    """Open the page by its address in a browser; the list of faults must stay empty."""
    with playwright.sync_playwright() as driver, serve(digits / "run") as (server, _):
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, faults = browser.new_page(), []
        # the browser reports the answer to a photograph that cannot be read
        page.on("console", lambda message: faults.append(message.text) if "422" not in message.text else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if not is_own(request.url, server) else None)
        page.goto(server.address)
        page.wait_for_url(f"**{server.place}")
        yield page, server
        browser.close()
        assert faults == []


def is_own(url: str, server) -> bool:
    return url.startswith((f"http://127.0.0.1:{server.server_port}/", "data:", "blob:")) and not url.endswith(
        "favicon.ico"
    )


def give(page, path) -> None:
    """Choose a photograph and wait for its answer."""
    page.set_input_files("#file", path)
    playwright.expect(page.locator("#caption")).to_have_text(path.name)


def read_classes(page) -> list[tuple[str, str]]:
    """Read names and probabilities of the shown classes."""
    items = page.locator("#classes li")
    return [(item.locator("bdi").inner_text(), item.locator(".percent").inner_text()) for item in items.all()]


def format_prediction(prediction) -> list[tuple[str, str]]:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    return [(name, f"{100 * probability:.1f} %") for name, probability in pairs]


def move(page, value: int) -> None:
    page.locator("#slider").evaluate("(e, value) => { e.value = value; e.dispatchEvent(new Event('input')); }", value)


def test_the_page_shows_classes_set_votes_and_nearest_images_and_moves_the_prior(visited, digits):
    page, _ = visited
    photo = digits / "labeled" / "7" / "2.png"
    give(page, photo)
    model = longtail.load(digits / "run", device="cpu")
    expected = model.predict(photo, calibrated=True, sets=True)
    assert read_classes(page) == format_prediction(expected)
    assert page.locator("#set span").all_inner_texts() == list(expected.decision.set)
    assert "at least 90 % of the images of all classes together" in page.locator("#set-note").inner_text()
    votes = [row.locator("td").first.inner_text() for row in page.locator("#votes tr").all()]
    assert votes == list(expected.votes) and len(votes) == 3
    assert page.locator("#near li img").count() == 6
    assert page.locator("#prior-now").inner_text() == "These probabilities are calibrated and as trained (uniform)."
    for value, prior in ((100, "train"), (0, "uniform")):
        move(page, value)
        assert read_classes(page) == format_prediction(model.predict(photo, calibrated=True, target_prior=prior))
    move(page, 50)
    assert page.locator("#prior-now").inner_text().startswith("50 % of the way")
    page.get_by_role("button", name="Back to as trained").click()
    assert read_classes(page) == format_prediction(expected) and not page.locator("#reset").is_visible()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photograph_is_dropped_or_pasted(visited, digits, way):
    page, _ = visited
    content = base64.b64encode((digits / "labeled" / "1" / "3.png").read_bytes()).decode()
    page.evaluate(
        """([way, content]) => {
          const data = new DataTransfer(), bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          data.items.add(new File([bytes], `${way}.png`, { type: "image/png" }));
          document.dispatchEvent(way === "drop" ? new DragEvent("drop", { dataTransfer: data, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data }));
        }""",
        [way, content],
    )
    playwright.expect(page.locator("#caption")).to_have_text(f"{way}.png")
    expected = longtail.load(digits / "run", device="cpu").predict(digits / "labeled" / "1" / "3.png", calibrated=True)
    assert read_classes(page) == format_prediction(expected)


def test_what_is_no_photograph_or_too_large_is_said_and_the_last_answer_stays(visited, digits, tmp_path):
    page, _ = visited
    give(page, digits / "labeled" / "2" / "0.png")
    before = read_classes(page)
    (tmp_path / "text.png").write_text("no image")
    with page.expect_response("**/photograph") as answered, page.expect_console_message():  # of the browser, for 422
        page.set_input_files("#file", tmp_path / "text.png")
    assert answered.value.status == 422
    playwright.expect(page.locator("#status")).to_contain_text("no photograph that can be read")
    page.evaluate("document.getElementById('main').dataset.mostBytes = 100")
    page.set_input_files("#file", digits / "labeled" / "2" / "1.png")
    assert "MB" in page.locator("#status.fault").inner_text()
    page.evaluate(f"document.getElementById('main').dataset.mostBytes = {32 << 20}")
    assert read_classes(page) == before and page.locator("#caption").inner_text() == "0.png"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_the_page_fits_every_screen(visited, digits, width, scheme):
    page, _ = visited
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    give(page, digits / "labeled" / "9" / "0.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.evaluate("Array.from(document.querySelectorAll('.near img')).every(e => e.naturalWidth === 8)")


def test_a_reload_shows_the_page_again_and_another_browser_needs_a_new_address(visited, digits):
    page, server = visited
    page.reload()
    page.wait_for_selector("#drop")
    other = page.context.browser.new_context()
    stranger = other.new_page()
    assert stranger.goto(server.address).status == 403
    assert stranger.goto(f"http://127.0.0.1:{server.server_port}{server.place}").status == 403
    other.close()


def test_the_policy_lets_no_other_script_style_or_address_in(visited):
    page, server = visited
    policy = page.goto(f"http://127.0.0.1:{server.server_port}{server.place}").headers["content-security-policy"]
    assert "unsafe" not in policy and policy.startswith("default-src 'none'; script-src 'sha256-")
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["connect-src"] == "'self'" and rules["frame-ancestors"] == rules["form-action"] == "'none'"
    assert not re.search(r"\b(?:src|href|style)=(?!\"#)", page.content().partition("<script>")[0].replace("data:", ""))
    assert json.loads(page.evaluate("fetch('model.json').then(r => r.text())"))["method"] == "ecl"
