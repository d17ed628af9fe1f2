"""The tables and figures as the paper has them: rows, columns, printed values, panels, and the pages about them."""

import re
from itertools import groupby
from pathlib import Path

import pytest

from longtail.commands.app import main
from longtail.commands.reproduce import check_choices
from longtail.errors import LongtailError
from longtail.methods import METHODS
from longtail.reproduce import Ledger, as_markdown, build_cells, build_lines, draw, page, reproduce
from longtail.reproduce.figures import FIGURES
from longtail.reproduce.rows import CALIBRATED, Row, Setting, Table
from longtail.reproduce.show import describe_marks
from longtail.reproduce.systems import MARKS, SYSTEMS, parse_marks
from longtail.reproduce.tables import SCALES, TABLES
from longtail.tracking import SilentReport

ROOT = Path(__file__).resolve().parents[2]
DIGITS = {"data": "digits-lt", "epochs": 1, "eval_every": 0}
TWO_SETS = Table(
    "CE on two sets",
    (Setting("A", DIGITS, CALIBRATED), Setting("B", DIGITS | {"imbalance": 10.0}, CALIBRATED)),
    (Row("CE", {"method": "ce"}), Row("BC", {"method": "bc"})),
    seeds=1,
    figure="tau",
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    reproduce(build_cells(TWO_SETS), ledger, SilentReport(), threads=1, say=lambda text: None)
    return ledger


@pytest.mark.skipif(not (ROOT / "results" / "ledger").is_dir(), reason="the measured cells are in the repository only")
def test_every_measured_cell_belongs_to_a_table():
    kept = {path.stem for path in (ROOT / "results" / "ledger").glob("*-seed0-*.json")}
    scales = [scale for scale in SCALES if any(name.startswith(f"{scale}-") for name in kept)]
    names = set()
    for table in TABLES.values():
        for scale in scales:
            for precision in ("fp32", "bf16") if any(f"{scale}-bf16-" in name for name in kept) else ("fp32",):
                try:
                    names |= {cell.name for cell in build_cells(table, scale, 1, precision)}
                except LongtailError:  # a scale that does not fit this table
                    continue
    assert kept and not kept - names


def test_table_3_prints_both_data_sets_in_the_order_of_the_paper():
    printed = [row.paper for row in TABLES["table3"].rows if row.paper]
    assert [p["CIFAR-100-LT, top-1"] for p in printed] == [52.2, 53.7, 54.7, 54.2, 54.9, 55.8, 56.3]
    assert [p["ImageNet-LT, top-1"] for p in printed] == [55.1, 56.4, 58.9, 57.6, 57.9, 59.9, 60.6]


def test_table_4_prints_single_experts_and_ensembles_of_both_data_sets(tmp_path):
    table = TABLES["table4"]
    text = as_markdown(build_lines(table, list(build_cells(table)), Ledger(tmp_path)))
    for values in ((53.6, 54.2, 5.11, 4.62, 57.7, 59.5, 3.8, 2.92), (55.1, 56.3, 2.33, 1.82, 59.3, 60.6, 1.96, 1.33)):
        assert "| " + " | ".join(f"- [{value:g}]" for value in values) + " |" in text


def test_a_setting_has_fewer_seeds_than_its_table_where_the_paper_does():
    seeds = {data: set() for data in ("cifar100-lt", "imagenet-lt")}
    for cell in build_cells(TABLES["table3"]):
        seeds[cell.recipe.data].add(cell.recipe.seed)
    assert seeds == {"cifar100-lt": {0, 1, 2, 3, 4}, "imagenet-lt": {0, 1, 2}}


def test_tables_1_and_2_have_a_row_for_every_method_in_its_group_with_ncl_and_ecl_last():
    for name in ("table1", "table2"):
        rows = TABLES[name].rows
        methods = [row.changes["method"] for row in rows if not row.reason]
        assert set(methods) == METHODS.keys() and len(methods) == len(METHODS) and methods[-2:] == ["ncl", "ecl"]
        groups = [row.group for row in rows]
        assert list(dict.fromkeys(groups)) == [group for group, _ in groupby(groups)]  # each group in one piece
        own = {m: METHODS[m].family for m in methods if m != "cmo_ride"}  # CMO on the experts of RIDE
        assert {row.changes["method"]: row.group for row in rows if row.changes.get("method") in own} == own


def test_printed_values_stand_in_the_columns_of_the_paper():
    m2m, ace = ({row.label: row.paper for row in TABLES["table1"].rows}[name] for name in ("M2m", "ACE"))
    assert m2m == {"CIFAR-10-LT 10": 87.9, "CIFAR-10-LT 100": 78.3, "CIFAR-100-LT 10": 58.2, "CIFAR-100-LT 100": 42.9}
    assert ace == {"CIFAR-10-LT 50": 84.9, "CIFAR-10-LT 100": 81.4, "CIFAR-100-LT 50": 51.9, "CIFAR-100-LT 100": 49.6}
    large = {row.label: row.paper for row in TABLES["table2"].rows}
    assert list(large["ECL"].values()) == [60.6, 61.7, 75.8] and large["ACE"]["ImageNet-LT RX-50"] == 56.6


def test_systems_of_four_experts_are_run_with_four():
    cells = build_cells(TABLES["table1"], seeds=1, only="*CIFAR-100-LT 100*")
    experts = {cell.recipe.method: cell.recipe.options["experts"] for cell in cells if cell.row.changes.get("experts")}
    assert experts == {"ride": 4, "cmo_ride": 4, "ace": 4}


def test_a_system_that_cannot_be_run_keeps_its_printed_value_and_its_reason(tmp_path):
    table = TABLES["table2"]
    cells = list(build_cells(table))
    assert "CKT" not in {cell.row.label for cell in cells}
    text = as_markdown(build_lines(table, cells, Ledger(tmp_path)))
    assert re.search(r"\| CKT \| augmentation \|  \| cannot be run \[54\.2\] \|  \|", text)
    assert "CKT cannot be run: its formulas" in describe_marks(table)
    assert "CKT" not in as_markdown(build_lines(table, list(build_cells(table, only="ncl")), Ledger(tmp_path)))


def test_a_value_that_is_not_known_from_the_paper_carries_its_mark(tmp_path):
    table = TABLES["table1"]
    text = as_markdown(build_lines(table, list(build_cells(table, only="d*v*")), Ledger(tmp_path)))
    assert "- [62 p]" in text and "| p; (200 + 200) x 1; 1 |" in text
    assert "p: published elsewhere" in describe_marks(table) and not describe_marks(TABLES["table3"])


def test_every_mark_is_explained_once_in_the_docs():
    text = (ROOT / "docs" / "reproduction.md").read_text()
    for mark, meaning in MARKS.items():
        assert text.count(f"| `{mark}` | {meaning} |") == 1
    texts = [marks for rows in SYSTEMS.values() for *_, marks in rows]
    assert set().union(*map(parse_marks, texts)) == MARKS.keys()
    for text in texts:  # marks; epochs x views; networks at inference, each where known
        assert re.fullmatch(r"([a-z]( [a-z])*(; |$))?(\(?[\d +]+\)? x \d(; |$))?(\d( branches)?)?", text), text


@pytest.mark.parametrize(
    "name, data, rows",
    [
        ("fig2", {"cifar100-lt"}, ["NCL", "ECL"]),
        ("fig6", {"cifar10-lt", "cifar100-lt"}, ["CE", "NCL", "ECL"]),
        ("fig7", {"cifar10-lt"}, ["NCL", "ECL"]),
        ("fig8", {"cifar10-lt"}, ["ECL without FLD", "ECL"]),
        ("fig9", {"imagenet-lt"}, ["CE", "CB", "GCL", "NCL", "ECL"]),
        ("fig9-cifar", {"cifar100-lt"}, ["CE", "CB", "GCL", "NCL", "ECL"]),
        ("fig10", {"cifar100-lt"}, ["CE", "CB", "BS", "GCL", "NCL", "ECL"]),
        ("sec4-tau", {"cifar100-lt"}, ["NCL"]),
    ],
)
def test_a_figure_compares_what_the_paper_compares(name, data, rows):
    cells = list(build_cells(TABLES[name]))
    assert {cell.recipe.data for cell in cells} == data and [row.label for row in TABLES[name].rows] == rows
    if name == "fig8":
        assert [cell.recipe.options["fld"] for cell in cells] == [False, True]


def test_a_figure_on_frozen_features_compares_the_same_rows_at_one_pace():
    for name in ("fig2", "fig4", "fig5", "fig6", "fig7", "fig10"):
        figure, moved = TABLES[name], TABLES[f"frozen-{name}"]
        assert [row.label for row in moved.rows] == [row.label for row in figure.rows] and moved.figure == figure.figure
        assert all(cell.recipe.frozen and cell.recipe.data == "caltech101" for cell in build_cells(moved, "frozen", 1))
    for recipe in (cell.recipe for cell in build_cells(TABLES["frozen-fig4"], "frozen", 1)):
        assert recipe.lr / recipe.options["experts"] == pytest.approx(0.02)
        assert recipe.lr * recipe.weight_decay == pytest.approx(1e-5)
    three = [c.name for c in build_cells(TABLES["frozen-fig4"], "frozen", 1, only="K = 3")]
    assert three == [c.name for c in build_cells(TABLES["frozen-caltech"], "frozen", 1, only="ecl")]


def test_the_label_of_a_row_means_that_row_and_not_all_of_its_method():
    (cell,) = build_cells(TABLES["evidence"], seeds=1, only="ECL")
    assert cell.row.label == "ECL" and len({c.row.label for c in build_cells(TABLES["evidence"], only="ecl*")}) > 5


def test_tables_of_features_are_measured_at_their_scale_only(capsys):
    for table, scale in (("table3", "frozen"), ("frozen-caltech", "full")):
        with pytest.raises(SystemExit) as stop:
            main(["reproduce", table, "--scale", scale, "--show"])
        assert stop.value.code == 2 and f"{table} is not measured at scale {scale}" in capsys.readouterr().err
    assert check_choices("frozen-caltech", None, "text", None) == "frozen"


def test_the_page_of_a_scale_holds_its_tables_only(filled):
    assert page.render_scale("full", "fp32", Ledger(filled.path / "empty")) == ""
    text = page.render_scale("cpu-16px", "fp32", Ledger(ROOT / "results" / "ledger"))
    assert text.startswith("# Scale `cpu-16px`") and "## Table III" in text and "Scale `frozen`" not in text


def test_figures_that_the_paper_does_not_have_are_called_ours():
    for name, table in FIGURES.items():
        assert bool(table.printed) != bool(re.search(r"\bours\b", table.title.lower())), name


def test_the_page_on_reproduction_says_what_each_picture_of_the_paper_shows():
    text = (ROOT / "docs" / "reproduction.md").read_text()
    for name, table in FIGURES.items():
        assert re.search(rf"^\| `{name}` \|.*{re.escape(table.printed)}", text, re.M), name


def test_panels_are_ordered_by_data_set_and_labelled_with_it(filled):
    cells = draw.order_panels(build_cells(TWO_SETS))
    assert draw.label_panels(cells) == ["CE, A", "BC, A", "CE, B", "BC, B"]
    path, caption = draw.draw_table_figure("two", "tau", cells, filled)
    assert re.findall(r"(CE|BC), (A|B): ", caption) == [("CE", "A"), ("BC", "A"), ("CE", "B"), ("BC", "B")]
    assert path.read_text().startswith("<svg")
    again = draw.draw_table_figure("two", "tau", cells + list(build_cells(TWO_SETS, seeds=2)), filled)[1]
    assert again == f"{caption} 4 of 8 runs are not here and not drawn."  # a cell of two rows is one run


def test_panels_of_several_seeds_are_labelled_with_the_seed():
    cells = draw.order_panels(build_cells(TWO_SETS, seeds=2, only="A"))
    assert draw.label_panels(cells) == ["CE, seed 0", "BC, seed 0", "CE, seed 1", "BC, seed 1"]


def test_only_takes_the_heading_of_a_data_set():
    assert {cell.recipe.data for cell in build_cells(TABLES["table3"], only="imagenet*")} == {"imagenet-lt"}
    assert {cell.row.label for cell in build_cells(TABLES["table4"], only="ecl")} == {"ecl"}


def test_cells_of_other_data_follow_where_one_data_set_is_missing(tmp_path):
    absent = Setting("absent", {"data": "cifar10-lt", "epochs": 1}, CALIBRATED)
    table = Table("", (absent, TWO_SETS.settings[0]), TWO_SETS.rows, seeds=1)
    messages = []
    options = {"threads": 1, "say": messages.append}
    progress = reproduce(build_cells(table), Ledger(tmp_path / "ledger"), SilentReport(), **options)
    assert (progress.finished, progress.failed) == (2, 2)
    assert sum("cells of other data follow" in text for text in messages) == 1
    with pytest.raises(LongtailError, match="cifar10"):
        reproduce(build_cells(table, only="absent"), Ledger(tmp_path / "ledger"), SilentReport(), **options)


def test_the_page_leaves_rows_without_a_number_out_and_names_them(filled, monkeypatch):
    rows = (*TWO_SETS.rows, Row("unmeasured", {"method": "ce", "lr": 0.7}, {"A, top-1": 12.0}))
    monkeypatch.setattr(page, "TABLES", {"two": Table("two sets", TWO_SETS.settings, rows, seeds=1)})
    text = page.render_page(filled)
    assert "| CE |" in text and "| unmeasured |" not in text and "No run is finished of the rows unmeasured." in text


def test_a_drawn_figure_stands_beside_what_the_paper_shows(filled, monkeypatch):
    monkeypatch.setattr(page, "TABLES", {"fig7": TABLES["fig7"]})
    filled.picture("fig7", "cpu-small").parent.mkdir(exist_ok=True)
    filled.picture("fig7", "cpu-small").write_text("<svg/>")
    (section,) = page.render_pictures("cpu-small", filled)
    assert f"In the paper: {TABLES['fig7'].printed}." in section
