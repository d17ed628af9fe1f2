"""Pictures are self-contained SVG for any classes, and never overwrite another file."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from made_up_outputs import made_up

from longtail import LongtailError, analysis
from longtail.analysis import FIGURES, RunOutputs, load_stored_figure, render_figure, render_panels, save_figure
from longtail.analysis.points import Point
from longtail.analysis.style import INK
from longtail.data import load_split
from longtail.runs.finished import FinishedRun

ONE = [name for name, entry in FIGURES.items() if entry.runs == "one" and name != "landscape"]
STEP = np.linspace(-1, 1, 5)
LANDSCAPE = {"step": STEP, "loss": np.ones((2, 5)) + STEP**2, "accuracy": 90 - 50 * np.ones((2, 5)) * STEP**2}
CASES = {
    "one expert": {"counts": [300, 50, 5], "experts": 1},
    "two classes": {"counts": [9, 3], "images": 40},
    "a group without tests": {"counts": [300, 50, 5, 4], "untested": (2, 3)},
    "nine experts": {"counts": [300, 50, 5], "experts": 9},
    "a class without training images": {"counts": [300, 50, 0]},
    "names of all kinds": {"counts": [300, 50, 5], "names": ["猫 & <b>", "$x_1$ \\frac{", "Ärmelkanal " * 9]},
}


def compute_made_up_panels(name: str, outputs) -> dict:
    if name == "landscape":
        return {"made-up": LANDSCAPE | {"images": np.array(70)}}
    if FIGURES[name].runs == "many":
        series = ("alpha", "beta") if name == "sweep" else ("ecl", "bc")
        points = [Point(s, x, 40 + x, 20 + x) for s in series for x in (1, 1, 3)]
        return {"": FIGURES[name].module.compute(points)}
    return {"made-up": FIGURES[name].module.compute(outputs)}


def check_svg(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and root.get("aria-label")
    text = re.sub(r"data:image/png;base64,[^\"]*", "", svg)
    outside = [u for u in re.findall(r"(?:https?:)?//[^\"' ]*", text) if not u.startswith("http://www.w3.org/")]
    assert not outside and "<!DOCTYPE" not in svg and "<style" not in svg and "@import" not in svg
    assert all(ref.startswith(("#", "data:image/png")) for ref in re.findall(r'href="([^"]*)"', svg))
    assert "currentColor" in svg and INK not in svg and "<text" in svg
    used, ids = re.findall(r'(?:url\(|href=")#([^)"]*)', svg), re.findall(r'\bid="([^"]*)"', svg)
    assert set(used) == set(ids) and len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_self_contained_deterministic_and_described(name):
    panels = compute_made_up_panels(name, made_up([500, 300, 50, 30, 9, 3]))
    drawing = render_panels(name, panels)
    check_svg(drawing.svg)
    assert drawing == render_panels(name, panels) and len(drawing.svg) < 150_000
    assert re.search(r"\d", drawing.alt) and "nan" not in drawing.alt
    assert ElementTree.fromstring(drawing.svg).get("aria-label") == drawing.alt


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ONE)
def test_figures_accept_unusual_data(name, case, recwarn):
    drawing = render_panels(name, compute_made_up_panels(name, made_up(**CASES[case])))
    check_svg(drawing.svg)
    assert not re.search(r"\bnan\b", drawing.alt) and not [str(w.message) for w in recwarn]


@pytest.mark.parametrize("name", ["accuracy", "confusion", "transfer", "distance"])
def test_figures_of_three_thousand_classes_are_small_with_few_labels(name):
    made = made_up(np.linspace(1000, 1, 3000).astype(int), experts=2, images=4000)
    svg = render_panels(name, compute_made_up_panels(name, made)).svg
    check_svg(svg)
    assert len(re.findall("<text", svg)) < 50 and len(svg) < 4_000_000


def test_several_runs_are_panels_with_their_labels_and_one_scale():
    runs = [made_up([300, 50, 5], seed=seed) for seed in range(3)]
    for outputs, label in zip(runs, ("ce", "bc", "ecl <new>"), strict=True):
        outputs.label = label
    drawing = render_figure("tau", runs)
    check_svg(drawing.svg)
    assert all(f"{label}: Accuracy as trained" in drawing.alt for label in ("ce", "bc", "ecl <new>"))
    assert "ecl &lt;new&gt;" in drawing.svg


def test_pictures_on_one_page_have_distinct_ids():
    made = made_up([300, 50, 5])
    ids = [
        re.findall(r'\bid="([^"]*)"', render_figure(name, [made]).svg)
        for name in ("accuracy", "reliability", "transfer")
    ]
    assert all(ids) and len({i for picture in ids for i in picture}) == sum(map(len, ids))


@pytest.mark.parametrize("kind", [".png", ".pdf"])
def test_a_figure_is_saved_with_its_numbers_and_replaces_only_itself(kind, tmp_path):
    made, path = made_up([300, 50, 5]), tmp_path / f"mine{kind}"
    words = save_figure("accuracy", [made], path)
    assert "300 training images" in words
    lines = (tmp_path / "mine.csv").read_text().splitlines()
    assert lines[0] == "name,group,train_images,test_images,accuracy" and len(lines) == 4
    first = path.read_bytes()
    save_figure("accuracy", [made], path)
    assert path.read_bytes() == first
    save_figure("accuracy", [made], tmp_path / "mine.svg")  # another format of the same figure
    with pytest.raises(LongtailError, match=f"mine{kind} exists already and is not this figure"):
        save_figure("tau", [made], path)
    assert path.read_bytes() == first and not list(tmp_path.glob(".*"))


def test_arrays_that_are_no_table_are_written_as_npz(tmp_path):
    runs = [made_up([300, 50, 5], seed=seed) for seed in range(2)]
    runs[1].label = "other"
    save_figure("confusion", runs, tmp_path / "c.svg")
    with np.load(tmp_path / "c.npz") as archive:
        assert archive["other/matrix"].sum() == 400 and archive["made-up/name"][0] == "class 0"


def test_a_table_that_is_not_of_the_figure_is_not_overwritten(tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(LongtailError, match=r"a\.csv exists already"):
        save_figure("accuracy", [made_up([300, 5])], tmp_path / "a.svg")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"] and (tmp_path / "a.csv").read_text() == "mine"


def test_outputs_agree_with_the_results_of_the_run(ecl):
    top1 = 100 * (ecl.logits.mean(0).argmax(-1) == ecl.labels).double().mean().item()
    assert top1 == pytest.approx(ecl.run.results["plain"]["ensemble"]["top1"])
    assert ecl.features.shape == (3, 700, 64) and ecl.logits.shape == (3, 700, 10)
    assert ecl.run.metrics[-1]["epoch"] == 3 and ecl.run.metrics[0]["stage"] == "train"
    with_head = ecl.method.cls(ecl.features).detach()
    np.testing.assert_allclose(with_head.numpy(), ecl.logits.numpy(), atol=1e-4)


def test_a_stored_figure_is_loaded_with_its_description(ecl_run):
    run = FinishedRun.open(ecl_run)
    assert load_stored_figure(run, "curves") is None
    path, words = analysis.draw_figure("curves", [ecl_run])
    assert path == ecl_run / "figures" / "curves.svg" and load_stored_figure(run, "curves").alt == words
    check_svg(load_stored_figure(run, "curves").svg)


def test_a_stored_figure_may_describe_names_with_quotes(ecl_run, monkeypatch):
    monkeypatch.setattr("longtail.analysis.curves.describe", lambda arrays: 'a "lynx" & its\nyoung')
    _, words = analysis.draw_figure("curves", [ecl_run])
    assert load_stored_figure(FinishedRun.open(ecl_run), "curves").alt == words == 'a "lynx" & its\nyoung'


def test_a_comparison_does_not_replace_the_figure_of_a_single_run(ecl_run, ce_run):
    before = sorted(ce_run.rglob("*"))
    path, words = analysis.draw_figure("reliability", [ecl_run, ce_run])
    assert path == ecl_run / "figures" / "reliability-compared.svg" and "ce: The expected" in words
    assert not (path.parent / "reliability.svg").exists() and sorted(ce_run.rglob("*")) == before


def test_other_images_than_those_of_the_run_are_refused(ecl_run, ecl):
    assert RunOutputs.load(ecl_run, load_split("digits-lt", ecl.recipe.imbalance)).split is not None
    fewer = replace(ecl.split, test=replace(ecl.split.test, labels=ecl.split.test.labels.flip(0)))
    with pytest.raises(LongtailError, match="other test images"):
        RunOutputs.load(ecl_run, fewer)
