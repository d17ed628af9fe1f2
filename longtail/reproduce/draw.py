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

    Raises LongtailError if no cell has a run folder, as in a ledger that was merged without them.
    """
    finished = [cell for cell in cells if ledger.read(cell) and ledger.run_path(cell).is_dir()]
    if not finished:
        raise LongtailError(
            f"{ledger.path / 'runs'} has no finished run of {name} to draw; leave --show out to train them"
        )
    runs = [RunOutputs.load(ledger.run_path(cell)) for cell in finished]
    for cell, run in zip(finished, runs, strict=True):
        run.label = cell.row.label
    path = ledger.picture(name, finished[0].scale)
    path.parent.mkdir(exist_ok=True)
    return path, analysis.save_figure(figure, runs, path)
