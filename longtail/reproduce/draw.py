"""Figures of the paper, drawn from the run folders of a ledger."""

from collections.abc import Iterable
from pathlib import Path

from longtail import analysis
from longtail.analysis import RunOutputs
from longtail.errors import LongtailError
from longtail.reproduce.cells import Cell
from longtail.reproduce.ledger import Ledger


def draw_table_figure(name: str, figure: str, cells: Iterable[Cell], ledger: Ledger) -> tuple[Path, str]:
    """Draw a figure of the finished cells of one scale as `figures/NAME-SCALE.svg` of the ledger; return path and caption.

    A cell of two rows is one run. The caption says how many cells have no run folder here. Raises LongtailError if none
    has one, as in a ledger that was merged without them.
    """
    wanted = list({cell.name: cell for cell in order_panels(cells)}.values())
    finished = [cell for cell in wanted if ledger.read(cell) and ledger.run_path(cell).is_dir()]
    if not finished:
        raise LongtailError(
            f"{ledger.path / 'runs'} has no finished run of {name} to draw; leave --show out to train them"
        )
    runs = [RunOutputs.load(ledger.run_path(cell)) for cell in finished]
    for run, label in zip(runs, label_panels(finished), strict=True):
        run.label = label
    path = ledger.picture(name, finished[0].scale)
    path.parent.mkdir(exist_ok=True)
    caption, missing = analysis.save_figure(figure, runs, path), len(wanted) - len(finished)
    return path, caption + (f" {missing} of {len(wanted)} runs are not here and not drawn." if missing else "")


def order_panels(cells: Iterable[Cell]) -> list[Cell]:
    """Return cells setting by setting, in the order of their first appearance, as the panels of the paper."""
    cells = list(cells)
    headings = list(dict.fromkeys(cell.setting.heading for cell in cells))
    return sorted(cells, key=lambda cell: headings.index(cell.setting.heading))


def label_panels(cells: list[Cell]) -> list[str]:
    """Return a label for each cell: its row, then setting and seed where cells differ in these."""
    has_settings = len({cell.setting.heading for cell in cells}) > 1
    has_seeds = len({cell.recipe.seed for cell in cells}) > 1
    return [
        cell.row.label
        + (f", {cell.setting.heading}" if has_settings else "")
        + (f", seed {cell.recipe.seed}" if has_seeds else "")
        for cell in cells
    ]
