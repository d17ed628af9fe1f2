"""The report: numbers equal those of the run, names are escaped, and missing data are explained."""

import base64
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_up_runs import made_up, made_up_seeds

import longtail.report
from longtail import LongtailError, api
from longtail.analysis.accuracy import find_extremes
from longtail.commands import app
from longtail.launch import train
from longtail.metrics import METRICS
from longtail.recipes import recipe_for
from longtail.report import write_report
from longtail.report.confusions import Misclassified
from longtail.report.overlay import draw_overlay
from longtail.report.styles import StyleRules
from longtail.report.summary import RunSummary
from longtail.tracking import SilentReport
from tests.data.pictures import class_folders

NAMES = ["<script>alert(1)</script>", "Ångström & Söhne", "שלום", "x" * 300, "\"quoted'"]
COUNTS = [500, 120, 50, 19, 0]


class Page(HTMLParser):
    """The tables of a page by caption, as rows of texts, with the tags and the text."""

    def __init__(self, html: str):
        super().__init__()
        self.tables, self.tags, self.text, self.rows, self.caption = {}, [], [], None, False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "table":
            self.rows = []
        elif tag == "caption":
            self.caption = ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag == "caption":
            self.tables[self.caption.strip()], self.caption = self.rows, False
        elif tag == "table":
            self.rows = None

    def handle_data(self, data):
        self.text.append(data)
        if isinstance(self.caption, str):
            self.caption += data
        elif self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")

    def table(self, start: str) -> list[list[str]]:
        (table,) = [rows for caption, rows in self.tables.items() if caption.startswith(start)]
        return table


def read_page(path) -> Page:
    """Read a report."""
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train short runs of ECL and CE on the digits."""
    out = tmp_path_factory.mktemp("trained")
    for method in ("ecl", "ce"):
        train(recipe_for("digits-lt", method=method, epochs=2, eval_every=0), out / method, SilentReport())
    return out


@pytest.fixture
def unusual(tmp_path):
    """Make up a run with difficult class names, a class without training images and one without test images."""
    return made_up(tmp_path / "unusual", NAMES, COUNTS, untested=(2,)).path


def test_the_headline_table_equals_results_json(trained):
    path = write_report([trained / "ecl"], figures="none")
    results = json.loads((trained / "ecl" / "results.json").read_text())
    rows = read_page(path).table("Percent of 700 test images")[1:]
    models = [m for how in ("plain", "flip") for m in (results[how]["ensemble"], *results[how]["experts"])]
    assert [row[1:] for row in rows] == [[f"{model[name]:.1f}" for name in METRICS] for model in models]
    assert path == trained / "ecl" / "report.html"


def test_the_class_table_equals_per_class_csv(trained):
    rows = read_page(write_report([trained / "ecl"], figures="none")).table("Every class")
    written = list(csv.DictReader((trained / "ecl" / "per_class.csv").open()))
    columns = ("name", "group", "train_images", "plain", "flip", "expert_0", "expert_1", "expert_2")
    for row, cells in zip(rows[1:], sorted(written, key=lambda r: -int(r["train_images"])), strict=True):
        shown = [cells[c] if c in columns[:3] else f"{float(cells[c]):.1f}" for c in columns]
        assert row[:8] == shown and row[-1] == cells["test_images"]


def test_confusions_equal_a_naive_count(trained):
    summary = RunSummary.open(trained / "ecl")
    table = pq.read_table(trained / "ecl" / "predictions.parquet").to_pylist()
    count: dict[tuple, list] = {}
    for row in table:
        if row["label"] != row["predicted"]:
            count.setdefault((row["label"], row["predicted"]), []).append((row["confidence"], row["index"]))
    pairs = Misclassified.load(summary).count_pairs()
    assert {(p.truth, p.predicted): p.images for p in pairs} == {key: len(wrong) for key, wrong in count.items()}
    assert [p.images for p in pairs] == sorted((p.images for p in pairs), reverse=True)
    assert all(p.tested == 70 and p.rate == 100 * p.images / 70 for p in pairs)
    expected = sorted(count[pairs[0].truth, pairs[0].predicted], key=lambda wrong: -wrong[0])[: len(pairs[0].examples)]
    assert [confidence for _, confidence in pairs[0].examples] == [confidence for confidence, _ in expected]


SPECIES = ["Chrysaora_quinquecirrha_young_stage", "Gadus_morhua", "detritus_fiber_like"]


def test_the_worst_errors_come_first_and_are_named_by_file_and_classes(tmp_path):
    files = [f"test/{name}/IMG_{i:04d}.jpg" for name in SPECIES for i in range(10)]
    run = made_up(tmp_path / "run", SPECIES, [200, 50, 5], files=files)
    html = write_report([run.path], figures="none").read_text()
    rows = pq.read_table(run.path / "predictions.parquet").to_pylist()
    wrong = sorted((row for row in rows if row["label"] != row["predicted"]), key=lambda row: -row["confidence"])
    shown = re.findall(
        r'<bdi class="file">(.*?)</bdi>\s*<span><bdi>(.*?)</bdi> predicted as <bdi>(.*?)</bdi>, (\d+) %', html
    )
    expected = [
        (row["path"], row["label_name"], row["predicted_name"], f"{100 * row['confidence']:.0f}") for row in wrong[:12]
    ]
    assert [tuple(cell.replace("<wbr>", "") for cell in cells) for cells in shown] == expected and len(wrong) >= 12


def test_a_file_name_stands_under_each_photograph(trained):
    rows = {row["index"]: row for row in pq.read_table(trained / "ecl" / "predictions.parquet").to_pylist()}
    html = write_report([trained / "ecl"]).read_text()
    under = re.findall(r'<li><img src="[^"]*" alt="([^"]*)"[^>]*><span>([^<]*)</span>', html)
    assert under
    for alt, name in under:
        row = rows[int(name.removeprefix("image "))]
        assert (
            alt == f"{row['path']}: {row['label_name']}, predicted as {row['predicted_name']}" and row["path"] == name
        )


def test_a_report_of_an_older_run_names_its_images_by_their_positions(tmp_path):
    run = made_up(tmp_path / "run", SPECIES, [200, 50, 5]).path
    table = pq.read_table(run / "predictions.parquet")
    pq.write_table(table.drop_columns(["path", "label_name", "predicted_name"]), run / "predictions.parquet")
    assert re.search(r'<bdi class="file">image \d+</bdi>', write_report([run], figures="none").read_text())


@pytest.mark.parametrize("method", ["ce", "ecl"])
def test_a_report_of_one_network_has_no_word_and_no_figure_of_experts(trained, tmp_path, method):
    run = trained / "ce" if method == "ce" else made_up(tmp_path / "run", SPECIES, [200, 50, 5], experts=1).path
    html = write_report([run], tmp_path / "one.html", figures="fast" if method == "ce" else "none").read_text()
    html = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.S).lower()
    assert not re.findall(r"[^.<>]*(?:expert|teacher|ensemble)[^.<>]*", html)
    if method == "ce":
        assert "bias between classes" in html and html.count("<figure") == 6


def test_a_report_of_several_experts_keeps_their_figures(trained):
    html = write_report([trained / "ecl"], trained / "experts.html").read_text()
    assert "Distance between experts" in html and "the teachers give each class" in html and html.count("<figure") == 8


def test_no_absolute_path_is_in_a_report(tmp_path):
    class_folders(tmp_path / "my photos" / "train", {"a_b": 12, "c": 12})
    class_folders(tmp_path / "my photos" / "test", {"a_b": 4, "c": 4}, first=100)
    settings = {"net": "conv4", "size": 8, "epochs": 1, "device": "cpu"}
    runs = [api.train(tmp_path / "my photos", "ce", out=tmp_path / n / "run", **settings).path for n in ("x", "y")]
    shutil.move(tmp_path / "my photos", tmp_path / "moved")
    pages = [write_report(names, tmp_path / "page.html", root=str(tmp_path)).read_text() for names in (runs[:1], runs)]
    assert all(str(tmp_path) not in page and "my photos is not there" in page for page in pages)
    assert "<h1>ce on my-photos</h1>" in pages[0] and "<h1>x/<wbr>run and y/<wbr>run on my-photos</h1>" in pages[1]


def test_long_names_may_break_after_an_underscore_and_stay_whole_as_text(tmp_path):
    html = write_report([made_up(tmp_path / "run", SPECIES, [200, 50, 5]).path], figures="none").read_text()
    assert "<bdi>Chrysaora_<wbr>quinquecirrha_<wbr>young_<wbr>stage</bdi>" in html
    assert Page(html).table("Every class")[1][0] == SPECIES[0]


def test_the_best_and_the_worst_class_are_said_to_rest_on_their_test_images(tmp_path):
    run = made_up(tmp_path / "run", SPECIES, [200, 50, 5], tested=3)
    rows = run.read_csv("per_class.csv")
    for row, accuracy in zip(rows, ("100.0", "0.0", "50.0"), strict=True):
        row["plain"] = accuracy
    run.write_csv("per_class.csv", rows)
    text = " ".join("".join(read_page(write_report([run.path], figures="none")).text).split())
    assert (
        f"Best class: {SPECIES[0]}, 100.0 % of 3 test images. Worst class: {SPECIES[1]}, 0.0 % of 3 test images."
        in text
    )


def test_of_equally_good_classes_the_one_with_most_test_images_is_named():
    accuracy, tested = np.array([100.0, 100.0, 0.0, np.nan, 0.0]), np.array([3, 8, 2, 0, 5])
    assert find_extremes(accuracy, tested) == (1, 4)


def test_a_report_has_every_fast_figure_with_a_description_and_example_images(trained):
    page = read_page(write_report([trained / "ecl"]))
    pictures = [a for tag, a in page.tags if tag == "svg"]
    assert len(pictures) >= 7 and all(a["role"] == "img" and len(a["aria-label"]) > 30 for a in pictures)
    examples = [a for tag, a in page.tags if tag == "img"]
    assert examples and all(a["src"].startswith("data:image/png;base64,") and a["alt"] for a in examples)
    assert "Not drawn" not in "".join(page.text)


def test_the_page_needs_no_network(trained):
    html = write_report([trained / "ecl", trained / "ce"], trained / "both.html").read_text()
    page = Page(html)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert "@import" not in html and not re.search(r"url\((?![\"']?#)", html)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_names_are_escaped_everywhere(unusual):
    html = write_report([unusual], figures="none").read_text(encoding="utf-8")
    assert "<script>alert" not in html and html.count("<script>") == 1
    rows = Page(html).table("Every class")
    assert [row[0] for row in rows[1:]] == NAMES and unescape("&lt;script&gt;alert") in "".join(Page(html).text)


def test_missing_measurements_are_n_a_and_an_empty_group_has_no_bar(unusual, tmp_path):
    page = read_page(write_report([unusual], figures="none"))
    rows = {row[0]: row for row in page.table("Every class")}
    assert rows[NAMES[2]][3:8] == ["n/a"] * 5 and rows[NAMES[2]][-1] == "0"
    headline = page.table("Percent of 40 test images")
    assert headline[0][4] == "Medium" and {row[4] for row in headline[1:]} == {"n/a"}
    assert rows[NAMES[4]][1:3] == ["few", "0"]
    few = read_page(
        write_report([made_up(tmp_path / "few", ["a", "b"], [5, 3], experts=1, method="ce").path], figures="none")
    )
    text = "".join(few.text)
    assert (
        "2 classes of 3 to 5 training images" in text
        and "Single network" in text
        and "Many" not in few.table("Every")[0]
    )


def test_runs_without_any_test_image_have_a_page_of_n_a(tmp_path):
    runs = [made_up(tmp_path / n, ["u", "v"], [200, 5], untested=(0, 1), method=n).path for n in ("ce", "bc")]
    page = read_page(write_report(runs, figures="none"))
    assert "there are no measurements" in "".join(page.text)
    assert set(page.table("Differences")[1][1:]) == {"n/a"} and page.table("Every class")[1][3:5] == ["n/a", "n/a"]


def test_without_the_images_the_report_gives_the_reason_and_omits_them(unusual):
    text = "".join(read_page(write_report([unusual], figures="none")).text)
    assert "No images:" in text and "other test images" in text


def test_seeds_are_mean_and_deviation(tmp_path):
    folder = made_up_seeds(tmp_path / "two", 2, ["a", "b", "c"], [200, 50, 5])
    page = read_page(write_report([folder], figures="none"))
    summary = json.loads((folder / "seeds.json").read_text())["plain"]["ensemble"]
    row = page.table("Percent of 30 test images, mean ± standard deviation of 2 seeds")[1]
    assert row[1] == f"{summary['top1']['mean']:.1f} ± {summary['top1']['sd']:.1f}"
    plain = [next(csv.DictReader((folder / f"seed{s}" / "per_class.csv").open()))["plain"] for s in (0, 1)]
    assert page.table("Every class")[1][3] == f"{np.mean([float(p) for p in plain]):.1f}"
    assert "seeds 0 and 1" in "".join(page.text) and (folder / "report.html").exists()


def test_two_runs_side_by_side_mark_the_best_and_subtract(tmp_path):
    kinds = {"a": {"seed": 1}, "b": {"seed": 4, "method": "ce", "experts": 1}}
    runs = [made_up(tmp_path / n, ["u", "v", "w"], [200, 50, 5], tested=50, **k).path for n, k in kinds.items()]
    path = write_report(runs, figures="none")
    assert path == tmp_path / "report-a-b.html"
    page, html = read_page(path), path.read_text()
    top1 = [json.loads((run / "results.json").read_text())["plain"]["ensemble"]["top1"] for run in runs]
    side = page.table("Percent of 150 test images, ensembles")
    assert [row[:2] for row in side[1:3]] == [["ecl", f"{top1[0]:.1f}"], ["ce", f"{top1[1]:.1f}"]]
    assert f"<strong>{max(top1):.1f}</strong>" in html and f"<strong>{min(top1):.1f}</strong>" not in html
    assert page.table("Differences")[1][:2] == [
        "ce \N{MINUS SIGN} ecl",
        f"{top1[1] - top1[0]:+.1f}".replace("-", "\N{MINUS SIGN}"),
    ]
    assert "only one seed of ecl and ce" in "".join(page.text)


def test_seeds_decide_whether_a_lead_is_noise(tmp_path):
    classes = (["u", "v", "w"], [200, 50, 5])
    runs = [made_up_seeds(tmp_path / n, 3, *classes, method=m) for n, m in (("a", "ecl"), ("b", "bc"))]
    page = read_page(write_report(runs, figures="none"))
    assert "≈ within noise" in page.table("Percent of 30 test images, ensembles")[1][1]  # the same predictions
    assert "≈ within noise" in page.table("Percent of 30 test images, ensembles")[2][1]
    assert "0.0 ± " in page.table("Differences")[1][1]


def test_runs_of_one_method_are_labelled_by_their_folders(tmp_path):
    runs = [made_up(tmp_path / n, ["u", "v"], [200, 5], seed=i).path for i, n in enumerate(("first", "second"))]
    assert read_page(write_report(runs, figures="none")).table("Differences")[1][0] == "second \N{MINUS SIGN} first"


def test_bad_input_is_one_clear_line(trained, tmp_path, capsys):
    made_up(tmp_path / "other", ["u", "v"], [200, 5])
    unfinished = tmp_path / "unfinished"
    shutil.copytree(trained / "ce", unfinished)
    (unfinished / "results.json").unlink()
    seeds = made_up_seeds(tmp_path / "seeds", 2, ["a", "b"], [200, 5])
    (seeds / "seeds.json").unlink()
    mine = tmp_path / "mine.html"
    mine.write_text("my own page")
    broken = tmp_path / "broken"
    shutil.copytree(trained / "ce", broken)
    (broken / "per_class.csv").write_text("class,name\n")
    ce = trained / "ce"
    cases = {
        "has no recipe.json": [tmp_path],
        "is not finished": [unfinished],
        "seeds.json is missing": [seeds],
        "different train images": [ce, tmp_path / "other"],
        "named twice": [ce, ce],
        "not a report of longtail": [ce, "--out", mine],
        "is not a folder": [ce, "--out", tmp_path / "no" / "where.html"],
        "is a folder": [ce, "--out", tmp_path],
        "did you mean 'fast'": [ce, "--figures", "fats"],
        "name one or more": [],
        "per_class.csv": [broken, "--figures", "none"],
    }
    for message, words in cases.items():
        with pytest.raises(SystemExit) as stop:
            app.main(["report", *map(str, words)])
        error = capsys.readouterr().err
        assert stop.value.code == 2 and error.count("\n") == 1 and message in error, error
    assert mine.read_text() == "my own page" and not (unfinished / "report.html").exists()


def test_a_damaged_file_is_named(unusual):
    (unusual / "predictions.parquet").write_bytes(b"no")
    with pytest.raises(LongtailError, match=r"predictions\.parquet"):
        write_report([unusual], figures="none")


def test_a_stored_figure_is_an_image_and_one_without_the_mark_is_omitted(trained, tmp_path):
    shutil.copytree(trained / "ce", tmp_path / "run")
    path = tmp_path / "run" / "figures" / "landscape.svg"
    path.parent.mkdir()
    head = '<svg role="img" aria-label="words &amp; &quot;more" xmlns="http://www.w3.org/2000/svg"'
    path.write_text(f'{head} data-of="longtail figure tau"><script>alert(1)</script></svg>')
    html = write_report([tmp_path / "run"]).read_text()
    assert "alert(1)" not in html and "landscape.svg is not a figure that longtail wrote" in html
    path.write_text(
        f'{head} data-of="longtail figure landscape" viewBox="0 0 9 9" stroke="currentColor">alert(1)</svg>'
    )
    page = read_page(write_report([tmp_path / "run"]))
    (image,) = [a for tag, a in page.tags if tag == "img" and a["src"].startswith("data:image/svg+xml;base64,")]
    svg = base64.b64decode(image["src"].partition(",")[2]).decode()
    assert image["alt"] == 'words & "more' and 'data-of="longtail figure landscape"' in svg
    assert "currentColor" not in svg and 'stroke="#131415"' in svg  # readable on the white of the image
    assert "alert(1)" not in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize("kind", ["pipe", "huge", "folder", "device"])
def test_a_stored_figure_that_is_no_ordinary_file_is_named_and_not_read(kind, tmp_path):
    run = made_up(tmp_path / "run", ["a", "b"], [9, 3])
    path = run.path / "figures" / "landscape.svg"
    path.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(10**10)
    assert "landscape.svg is no figure that longtail wrote" in write_report([run.path]).read_text()


def test_the_content_security_policy_names_hashes_and_the_page_has_no_inline_style_or_handler(trained):
    for runs in (["ecl"], ["ecl", "ce"]):
        html = write_report([trained / name for name in runs], trained / "policy.html").read_text()
        page = Page(html)
        (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
        assert (
            "unsafe" not in policy and "http" not in policy and policy.startswith("default-src 'none'; img-src data:;")
        )
        for tag in ("style", "script"):
            (source,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.S)
            digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert not [a for _, a in page.tags if "style" in a or any(name.startswith("on") for name in a)]
        assert len([a for tag, a in page.tags if tag == "svg"]) >= 7


def test_names_that_look_like_styles_or_markup_change_no_rule_and_no_element(tmp_path):
    names = [
        ' style="} body{display:none} "',
        "font-family: Mono",
        "<script>alert(1)</script>",
        "' style='x'",
        'id="a"',
    ]
    run = made_up(tmp_path / "run", names, [500, 120, 50, 19, 3]).path
    plain = made_up(tmp_path / "plain", ["a", "b", "c", "d", "e"], [500, 120, 50, 19, 3]).path
    rules = [StyleRules(), StyleRules()]
    pictures = []
    for path, rule in zip((run, plain), rules, strict=True):
        outputs = RunSummary.open(path)
        pictures.append(str(rule.inline_svg(draw_overlay([outputs]).svg)))
    assert "display" not in rules[0].render() and set(rules[0].names) == set(rules[1].names)
    tags = [re.findall(r"<(\w+)", picture) for picture in pictures]
    assert sorted(tags[0]) == sorted(tags[1]) and "script" not in tags[0]
    for picture in pictures:
        ElementTree.fromstring(picture)


def test_training_writes_the_report_and_survives_its_failure(tmp_path, capsys, monkeypatch):
    words = ["train", "digits-lt", "ce", "--epochs", "1", "--out"]
    with pytest.raises(SystemExit) as stop:
        app.main([*words, str(tmp_path / "run")])
    assert stop.value.code == 0 and str(tmp_path / "run" / "report.html") in capsys.readouterr().out
    assert "<h1>ce on digits-lt</h1>" in (tmp_path / "run" / "report.html").read_text()

    def fail(*_):
        raise RuntimeError("no ink\nleft")

    monkeypatch.setattr(longtail.report, "write_report", fail)
    with pytest.raises(SystemExit) as stop:
        app.main([*words, str(tmp_path / "again")])
    output = " ".join(capsys.readouterr().out.split())
    assert stop.value.code == 0 and "no report was written: no ink left." in output
    assert (tmp_path / "again" / "results.json").exists() and not (tmp_path / "again" / "report.html").exists()
    assert api.train("digits-lt", "ce", epochs=1, out=tmp_path / "api").results


def test_seeds_get_one_report_and_still_resume(tmp_path, capsys):
    words = [
        "train",
        "digits-lt",
        "ce",
        "--epochs",
        "1",
        "--seeds",
        "2",
        "--threads",
        "1",
        "--out",
        str(tmp_path / "two"),
    ]
    for more in ([], ["--resume"]):
        with pytest.raises(SystemExit) as stop:
            app.main([*words, *more])
        assert stop.value.code == 0, capsys.readouterr().err
    assert sorted(path.parent.name for path in tmp_path.rglob("report.html")) == ["two"]


def test_the_page_of_a_thousand_classes_is_small(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"species number {c}" for c in range(1200)]
    run = made_up(tmp_path / "big", names, sorted(rng.integers(1, 900, 1200).tolist(), reverse=True))
    assert write_report([run.path], figures="none").stat().st_size < 600_000


def test_the_longest_tables_omit_the_experts_and_name_the_file_with_them(tmp_path):
    run = made_up(tmp_path / "longer", [str(c) for c in range(2001)], [30] * 2001, tested=1)
    rows = read_page(write_report([run.path], figures="none")).table("Every class")
    assert len(rows) == 2002 and rows[0][3] == "Ensemble" and "Expert 1" not in rows[0]
    assert "per_class.csv has the accuracy of each expert" in (run.path / "report.html").read_text()


def test_importing_the_report_loads_no_plotting_or_template_library():
    code = "import sys, longtail.report; print([m for m in ('matplotlib', 'jinja2', 'pyarrow') if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_templates_styles_and_scripts_are_installed_with_the_package():
    package = Path(longtail.report.__file__).parent
    declared = tomllib.loads((package.parents[1] / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    patterns = declared["longtail.report"]
    for path in package.iterdir():
        assert path.suffix in ("", ".py") or any(path.match(pattern) for pattern in patterns), path.name
