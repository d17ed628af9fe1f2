"""The ledger: cells run within a budget, survive a kill, merge by copying, and are checked when they are read."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from longtail.errors import LongtailError
from longtail.methods import get_options
from longtail.reproduce import Ledger, as_csv, as_markdown, build_cells, build_lines, reproduce
from longtail.reproduce.cells import hash_recipe
from longtail.reproduce.ledger import BREAKING_OPTIONS, compute_digest
from longtail.reproduce.rows import CALIBRATED, Row, Scale, Setting, Table
from longtail.reproduce.run import parse_budget
from longtail.reproduce.tables import SCALES, TABLES
from longtail.tracking import SilentReport

TINY = Table(
    "two methods on digits",
    (Setting("", {"data": "digits-lt", "epochs": 2, "eval_every": 0}, CALIBRATED | {"minutes": "minutes"}),),
    (Row("ce", {"method": "ce"}, {"top-1": 50.0}), Row("bc", {"method": "bc"})),
    seeds=2,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    progress = reproduce(build_cells(TINY), ledger, SilentReport(), threads=1, say=lambda text: None)
    assert (progress.finished, progress.before, progress.failed) == (4, 0, 0)
    return ledger


@pytest.fixture
def copy(filled, tmp_path):
    shutil.copytree(filled.path, tmp_path / "copy")
    return Ledger(tmp_path / "copy")


def run(cells, ledger, **options):
    messages: list[str] = []
    return reproduce(cells, ledger, SilentReport(), threads=1, say=messages.append, **options), messages


def test_a_second_call_runs_nothing(copy):
    progress, messages = run(build_cells(TINY), copy)
    assert (progress.finished, progress.before, messages) == (0, 4, [])


def test_a_cell_keeps_results_recipe_machine_and_time(copy):
    cell = next(build_cells(TINY))
    kept = copy.read(cell)
    assert kept["results"]["plain"]["ensemble"]["top1"] > 10 and kept["recipe"] == cell.recipe.asdict()
    assert kept["seconds"] > 0 and kept["machine"]["torch"] and "root" not in kept["machine"]


def test_the_shown_numbers_are_those_of_the_run_folders(copy):
    lines = {(line.row, line.column): line for line in build_lines(TINY, list(build_cells(TINY)), copy)}
    results = [json.loads((copy.run_path(c) / "results.json").read_text()) for c in build_cells(TINY, only="ce")]
    tops = [result["plain"]["ensemble"]["top1"] for result in results]
    line = lines["ce", "top-1"]
    assert line.values == tuple(tops) and line.mean and line.mean == pytest.approx(sum(tops) / 2)
    assert line.sd == pytest.approx(abs(tops[0] - tops[1]) / 2**0.5) and line.difference == line.mean - 50
    assert "[50]" in str(line) and lines["bc", "top-1"].paper is None


def test_missing_cells_and_seeds_are_visible(copy):
    cells = list(build_cells(TINY))
    copy.file(cells[0]).unlink()
    for cell in build_cells(TINY, only="bc"):
        copy.file(cell).unlink()
    text = as_markdown(build_lines(TINY, cells, copy))
    assert "(1/2)" in text and "| bc | - |" in text
    assert "bc,top-1,,,0,2,," in as_csv(build_lines(TINY, cells, copy))


@pytest.mark.parametrize("harm", ["number", "empty", "list", "swapped"])
def test_a_corrupt_cell_is_reported_renamed_and_run_again(copy, harm):
    first, second, *_ = build_cells(TINY)
    path = copy.file(first)
    content = json.loads(path.read_text())
    content["results"]["plain"]["ensemble"]["top1"] = 99.9
    texts = {"number": json.dumps(content), "empty": "", "list": "[]", "swapped": copy.file(second).read_text()}
    path.write_text(texts[harm])
    with pytest.raises(LongtailError, match=path.name):
        copy.read(first)
    assert "| - |" in as_markdown(build_lines(TINY, [first], copy))
    progress, messages = run(build_cells(TINY), copy)
    assert progress.finished == 1 and path.name in messages[0] and "run again" in messages[0]
    assert copy.read(first) and path.with_name(f"{path.name}.corrupt").read_text() == texts[harm]


def test_a_cell_is_stale_if_a_default_has_changed_since(copy):
    (cell, *_) = build_cells(TINY, only="bc")
    content = json.loads(copy.file(cell).read_text())
    content["recipe"]["options"]["tau"] = 0.5
    copy.file(cell).write_text(json.dumps(content | {"sha256": compute_digest(content)}))
    with pytest.raises(LongtailError, match=r"trained with tau 0\.5; the default is now 1\.0"):
        copy.read(cell)


def test_a_cell_without_an_option_of_today_is_stale_only_if_the_option_changed_the_method(copy, monkeypatch):
    (cell, *_) = build_cells(TINY, only="bc")
    content = json.loads(copy.file(cell).read_text())
    del content["recipe"]["options"]["tau"]
    copy.file(cell).write_text(json.dumps(content | {"sha256": compute_digest(content)}))
    assert copy.read(cell)
    monkeypatch.setitem(BREAKING_OPTIONS, "bc", {"tau"})
    with pytest.raises(LongtailError, match="trained before bc had the option tau"):
        copy.read(cell)
    progress, messages = run(build_cells(TINY), copy)
    assert progress.finished == 1 and "run again" in messages[0] and copy.read(cell)


def test_breaking_options_are_options_of_their_methods():
    for method, names in BREAKING_OPTIONS.items():
        assert names <= get_options(method).keys()


def test_two_ledgers_merge_by_copying_files(filled, tmp_path):
    merged = Ledger(tmp_path / "merged")
    merged.path.mkdir()
    for cell in build_cells(TINY):
        shutil.copy(filled.file(cell), merged.path)
    assert run(build_cells(TINY), merged)[0].before == 4


def test_scales_and_precisions_are_never_mixed(copy, monkeypatch):
    monkeypatch.setitem(SCALES, "shorter", Scale({"lr": 0.01}))
    for other in (build_cells(TINY, "shorter"), build_cells(TINY, precision="bf16")):
        assert all(line.mean is None for line in build_lines(TINY, list(other), copy))


def test_a_budget_stops_a_run_and_later_calls_finish_with_the_same_numbers(filled, tmp_path):
    cells, ledger = list(build_cells(TINY, only="ce", seeds=1)), Ledger(tmp_path / "new")
    progress, _ = run(cells, ledger, budget=1e-9)
    assert progress.out_of_time and progress.finished == 0
    for attempt in range(1, 100):  # on a busy machine, building a run alone takes longer than the first budgets
        progress, _ = run(cells, ledger, budget=0.3 * attempt)
        if progress.finished:
            break
    finished, expected = ledger.read(cells[0]), filled.read(cells[0])
    assert finished and finished["results"] == expected["results"]


def test_a_killed_reproduce_loses_at_most_an_epoch(tmp_path):
    command = [sys.executable, "-m", "longtail", "reproduce", "methods", "--only", "ce", "--seeds", "1"]
    command += ["--ledger", str(tmp_path), "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (tables := list(tmp_path.glob("runs/*/metrics.csv"))):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    done = len(tables[0].read_text().splitlines()) - 1
    printed = subprocess.run([*command, "--budget", "1s"], capture_output=True, text=True, check=True).stdout
    assert "finished epochs are kept" in printed or "│ - " not in printed
    assert len(tables[0].read_text().splitlines()) - 1 >= done >= 1


def test_a_cell_that_another_process_trains_is_left_to_that_process(copy):
    cell = next(build_cells(TINY))
    copy.file(cell).unlink()
    (copy.run_path(cell) / "results.json").unlink()
    from longtail.runs.folder import RunFolder

    with RunFolder(copy.run_path(cell)).locked():
        progress, messages = run(build_cells(TINY), copy)
    assert progress.elsewhere == 1 and "another process" in messages[-1]


def test_a_cell_that_diverges_is_reported_and_the_others_go_on(tmp_path):
    setting = Setting("", {"data": "digits-lt", "epochs": 1, "eval_every": 0}, CALIBRATED)
    table = Table("", (setting,), (Row("diverges", {"method": "ce", "lr": 1e30}), Row("learns", {"method": "ce"})), 1)
    progress, messages = run(build_cells(table), Ledger(tmp_path))
    assert (progress.failed, progress.finished) == (1, 1) and any("not finite" in text for text in messages)


def test_a_cell_that_cannot_begin_is_reported_and_the_others_go_on(copy):
    first, *_ = build_cells(TINY)
    copy.file(first).unlink()
    (copy.run_path(first) / "split.json").write_text("damaged")
    second = list(build_cells(TINY))[1]
    copy.file(second).unlink()
    progress, messages = run(build_cells(TINY), copy)
    assert (progress.failed, progress.finished) == (1, 1) and any("split.json" in text for text in messages)


def test_reproduce_is_refused_under_torchrun(copy, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LongtailError, match="leave torchrun out"):
        run(build_cells(TINY), copy)


def test_the_same_run_in_two_tables_is_one_cell():
    cells = {name: build_cells(TABLES[name], seeds=1) for name in ("fig5", "table3", "fig4")}
    names = {name: {c.name for c in these if c.recipe.data == "cifar100-lt"} for name, these in cells.items()}
    assert (
        len(names["fig5"] & names["table3"]) == 1 and names["fig4"] & names["table3"] == names["fig5"] & names["table3"]
    )


def test_a_field_added_later_with_its_default_changes_no_hash():
    cell = next(build_cells(TINY))
    assert hash_recipe(cell.recipe) == hash_recipe(cell.recipe.change(precision="fp32"))
    assert hash_recipe(cell.recipe) != hash_recipe(cell.recipe.change(precision="bf16"))


def test_a_budget_is_seconds_minutes_or_hours():
    assert (parse_budget("90s"), parse_budget("9m"), parse_budget("1.5h")) == (90, 540, 5400)
    for bad in ("", "9", "m", "-3m", "9 d", "²h"):
        with pytest.raises(LongtailError, match="90s"):
            parse_budget(bad)


def test_the_page_shows_tables_with_two_finished_rows_and_names_the_tables_without(filled, monkeypatch):
    from longtail.reproduce import page

    other = Table("never run", TINY.settings, (Row("other", {"method": "ce", "lr": 0.7}),), seeds=1)
    monkeypatch.setattr(page, "TABLES", {"tiny": TINY, "other": other})
    text = page.render_page(filled)
    assert (
        "## two methods on digits" in text and "4 of 4 cells" in text and "Too few rows are finished of: other." in text
    )
    assert f"{build_lines(TINY, list(build_cells(TINY)), filled)[0]}" in text and "never run" not in text


def test_the_page_links_drawn_figures(copy):
    from longtail.reproduce import page

    copy.picture("fig9", "cpu-small").parent.mkdir()
    copy.picture("fig9", "cpu-small").write_text("<svg/>")
    assert [
        f"[picture]({copy.path}/figures/fig9-cpu-small.svg)" in text for text in page.render_pictures("cpu-small", copy)
    ] == [True]
