"""The documentation site builds without a warning, holds every method, and needs no network."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from longtail.methods import METHODS, get_options
from tests.accessibility import find_barriers

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site; a warning of mkdocs, such as a broken link or anchor, fails the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    return folder


def test_the_site_has_a_page_for_every_entry_of_the_navigation(site):
    entries = re.findall(r": (\S+)\.md$", (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2], re.M)
    assert len(entries) > 15 and all((site / f"{entry}.html").exists() for entry in entries)


def test_every_scale_with_measurements_has_its_page_in_the_navigation(site):
    listed = set(re.findall(r"scale-[\w-]+", (ROOT / "mkdocs.yml").read_text()))
    assert {path.stem for path in site.glob("scale-*.html")} == listed


def test_the_page_of_methods_has_every_method_with_every_option(site):
    page = (site / "methods.html").read_text()
    for name in METHODS:
        section = page.partition(f'<h3 id="{name}"')[2].partition("<h3 ")[0]
        assert METHODS[name].paper.partition(",")[0].replace("&", "&amp;") in section, name
        missing = [o for o in get_options(name) if f"<code>--{o.replace('_', '-')}</code>" not in section]
        assert not missing, (name, missing)
    ecl = page.partition('<h3 id="ecl"')[2].partition("<h3 ")[0]
    assert re.search(r"digits-lt.*?\d\d\.\d ± \d", ecl, re.S), "our numbers come from results/ledger"


def test_troubleshooting_holds_the_messages_of_the_package(site):
    page = (site / "troubleshooting.html").read_text()
    assert "exists already and is left as it is</td>" in page and "<td>choose another --out</td>" in page
    assert page.count("<tr>") > 250


def test_the_reference_documents_the_public_names(site):
    page = (site / "api.html").read_text()
    for name in ("api.train", "api.load", "api.Model.predict", "heads.fit_features", "testing.check_method"):
        assert f'id="longtail.{name}"' in page, name
    for name in (
        "losses.distillation.pairwise_kl",
        "methods.base.Stage",
        "nets.momentum.Queue",
        "metrics.accuracy.group_accuracy",
    ):
        assert f'id="longtail.{name}"' in page, name


class Accessibility(HTMLParser):
    """A reader of a page that notes images without a description, skipped levels of headings, and files of other hosts."""

    def __init__(self, text: str):
        super().__init__()
        self.faults: list[str] = []
        self.level = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "html" and not values.get("lang"):
            self.faults.append("no language")
        if tag == "img" and not values.get("alt"):
            self.faults.append(f"no alt text: {values.get('src')}")
        if tag in ("img", "script", "iframe") and (values.get("src") or "").startswith(("http:", "https:", "//")):
            self.faults.append(f"loaded from another host: {values['src']}")
        if tag == "link" and values.get("rel") == "stylesheet" and "//" in (values.get("href") or ""):
            self.faults.append(f"loaded from another host: {values['href']}")
        if re.fullmatch("h[1-6]", tag):
            if int(tag[1]) > self.level + 1:
                self.faults.append(f"h{tag[1]} after h{self.level}")
            self.level = int(tag[1])


def test_every_page_has_a_language_alt_texts_ordered_headings_and_files_of_its_own(site):
    faults = {
        page.name: Accessibility(page.read_text()).faults for page in site.glob("*.html") if page.name != "404.html"
    }
    assert len(faults) > 15 and not any(faults.values()), {name: found for name, found in faults.items() if found}


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_pages_fit_a_telephone_and_have_no_serious_barrier(site, scheme):
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs Chromium")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme, viewport={"width": 400, "height": 800})
        for name in ("index", "photographs", "own-loop", "results", "how-it-is-built"):
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, name
            # minor ones are of the theme: two copy buttons, two parts of the navigation
            assert find_barriers(page, ("critical", "serious")) == [], name
        browser.close()


@pytest.mark.slow
def test_no_screenshot_is_older_than_the_page_that_it_shows():
    from docs.generate.pictures import PICTURES, hash_templates

    kept = json.loads((PICTURES / "made.json").read_text())["templates_sha256"]
    assert kept == hash_templates(), "run make docs-pictures"
