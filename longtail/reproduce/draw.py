"""The figures of the paper from the run folders that a ledger keeps."""

from collections.abc import Iterable
from pathlib import Path

from longtail import analysis
from longtail.analysis import RunOutputs
from longtail.errors import LongtailError
from longtail.reproduce.cells import Cell
from longtail.reproduce.ledger import Ledger


def draw_table_figure(name: str, figure: str, cells: Iterable[Cell], ledger: Ledger) -> tuple[Path, str]:
    """Draw a figure of the finished cells into `figures/NAME-SCALE.svg` of the ledger; returns the path and its words.

    Raises LongtailError if no run folder is there: a merged ledger has only those that were copied with it.
    """
    runs = []
    for cell in cells:
        if ledger.read(cell) and ledger.run_path(cell).is_dir():
            runs.append(RunOutputs.load(ledger.run_path(cell)))
            runs[-1].label = cell.row.label
            scale = cell.scale
    if not runs:
        raise LongtailError(
            f"{ledger.path / 'runs'} has no finished run of {name} to draw; leave --show out to train them"
        )
    path = ledger.picture(name, scale)
    path.parent.mkdir(exist_ok=True)
    return path, analysis.save_figure(figure, runs, path)
