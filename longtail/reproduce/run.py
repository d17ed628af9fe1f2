"""Training of the missing cells of a table within a time budget; the next call continues an unfinished cell."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from longtail.distributed import World, init_world
from longtail.errors import LongtailError
from longtail.launch import build_trainer
from longtail.ranks import get_world_size
from longtail.recipe import Recipe
from longtail.reproduce.cells import Cell
from longtail.reproduce.ledger import Ledger
from longtail.runs.folder import Busy, RunFolder
from longtail.tracking import ProgressReport, Stopped


@dataclass
class Progress:
    """Counts of one call: cells finished now, finished before, in training elsewhere, failed; and whether time ran out."""

    finished: int = 0
    before: int = 0
    elsewhere: int = 0
    failed: int = 0
    out_of_time: bool = False


def reproduce(
    cells: Iterable[Cell],
    ledger: Ledger,
    report: ProgressReport,
    *,
    budget: float = float("inf"),
    root: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    say: Callable[[str], None] = print,
) -> Progress:
    """Train every cell that the ledger lacks, for at most `budget` seconds; several calls may share a ledger.

    `say` receives a line for each cell, failed cell and unusable file. A cell that fails does not stop the next one; the
    cell of an unusable file is trained again. Where data are missing, the cells of other data sets go on. Raises
    LongtailError if all cells are of data that are missing.
    """
    if get_world_size() > 1:
        raise LongtailError(
            "longtail reproduce trains in one process; leave torchrun out, and start it once for each GPU: calls share a ledger"
        )
    deadline, world, progress = time.monotonic() + budget, init_world(device, threads), Progress()
    unique = {cell.name: cell for cell in cells}
    missing: set[str] = set()  # data that cannot be loaded
    for number, cell in enumerate(unique.values(), 1):
        if read_or_quarantine(ledger, cell, say):
            progress.before += 1
            continue
        if time.monotonic() >= deadline:
            progress.out_of_time = True
            break
        if cell.recipe.data in missing:
            progress.failed += 1
            continue
        say(f"cell {number} of {len(unique)}: {cell.label}")
        path = ledger.run_path(cell)
        try:
            run = train_cell(cell, path, report, world, root, lambda: time.monotonic() >= deadline)
        except Stopped:
            progress.out_of_time = True
            say(f"the time is up; finished epochs are kept in {path}")
            break
        except Busy:
            say("another process is training this cell; the next one follows")
            progress.elsewhere += 1
        except LongtailError as error:
            progress.failed += 1
            if not is_data_missing(cell.recipe, root):
                say(str(error))
                continue
            missing.add(cell.recipe.data)
            if missing == {each.recipe.data for each in unique.values()}:
                raise
            say(f"{error}; cells of other data follow")
        else:
            ledger.keep(cell, run)
            progress.finished += 1
    return progress


def train_cell(
    cell: Cell,
    path: Path,
    report: ProgressReport,
    world: World,
    root: str | None,
    should_stop: Callable[[], bool],
) -> RunFolder:
    """Train the run of a cell, or continue it; raises Stopped, Busy, and LongtailError for what cannot be trained."""
    with world.session(tf32=cell.recipe.precision == "tf32"):
        trainer = build_trainer(cell.recipe, path, report, world, root, resume=True, should_stop=should_stop)
        trainer.fit()
    assert trainer.run
    return trainer.run


def is_data_missing(recipe: Recipe, root: str | None) -> bool:
    """Return whether the images of a recipe cannot be loaded."""
    try:
        recipe.load_split(root)
    except LongtailError:
        return True
    return False


def read_or_quarantine(ledger: Ledger, cell: Cell, say: Callable[[str], None]) -> dict | None:
    """Return the contents of a cell; an unusable file is reported and renamed, so that the cell is trained again."""
    try:
        return ledger.read(cell)
    except LongtailError as error:
        say(f"{error}; the file is kept as {ledger.quarantine(cell).name} and the cell is run again")
        return None


def parse_budget(budget: str) -> float:
    """Parse a time such as "90s", "9m" or "1.5h" into seconds; raises LongtailError for anything else."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = budget[:-1], budget[-1:]
    if unit not in units or not number.replace(".", "", 1).isdecimal():
        raise LongtailError(f"budget is '{budget}'; it takes a time such as 90s, 9m or 1.5h")
    return float(number) * units[unit]
