"""Run the missing cells of a table within a budget of time; what is under way is kept and taken up by the next call."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from longtail.distributed import init_world
from longtail.errors import LongtailError, expand_path
from longtail.launch import build_trainer
from longtail.reproduce.cells import Cell
from longtail.reproduce.ledger import Ledger
from longtail.runs.folder import Busy
from longtail.tracking import ProgressReport
from longtail.trainer import Stopped


@dataclass
class Progress:
    """What one call did: cells finished now, there before, in training elsewhere, failed; and whether time ran out."""

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

    A cell that fails is reported and the others go on; a corrupt file of the ledger is reported, set aside, and run again.
    Raises LongtailError where data are missing.
    """
    deadline, world, progress = time.monotonic() + budget, init_world(device, threads), Progress()
    unique = {cell.name: cell for cell in cells}
    for number, cell in enumerate(unique.values(), 1):
        if read_or_quarantine(ledger, cell, say):
            progress.before += 1
            continue
        if time.monotonic() >= deadline:
            progress.out_of_time = True
            break
        say(f"cell {number} of {len(unique)}: {cell.label}")
        data, path = find_data_root(root, cell.recipe.data), ledger.run_path(cell)
        with world.session(tf32=cell.recipe.precision == "tf32"):
            trainer = build_trainer(
                cell.recipe, path, report, world, data, True, None, lambda: time.monotonic() >= deadline
            )
            try:
                trainer.fit()
            except Stopped:
                progress.out_of_time = True
                say(f"the time is up; its finished epochs are kept in {path}")
                break
            except Busy:
                say("another process is training it; on to the next")
                progress.elsewhere += 1
            except LongtailError as error:
                say(str(error))
                progress.failed += 1
            else:
                ledger.keep(cell, trainer.run)
                progress.finished += 1
    return progress


def read_or_quarantine(ledger: Ledger, cell: Cell, say: Callable[[str], None]) -> dict | None:
    """A cell's contents; a file that cannot be used is reported, set aside, and so run again."""
    try:
        return ledger.read(cell)
    except LongtailError as error:
        say(f"{error}; it is set aside as {ledger.quarantine(cell).name} and run again")
        return None


def find_data_root(root: str | None, data: str) -> str | None:
    """The folder of one data set: ROOT/cifar10 for cifar10-lt where there is one, else ROOT itself."""
    if root is None:
        return None
    own = expand_path(root) / data.removesuffix("-lt")
    return str(own) if own.is_dir() else root


def parse_budget(budget: str) -> float:
    """Seconds of "90s", "9m", "1.5h"; raises LongtailError for anything else."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = budget[:-1], budget[-1:]
    if unit not in units or not number.replace(".", "", 1).isdigit():
        raise LongtailError(f"budget is '{budget}'; it takes a time such as 90s, 9m or 1.5h")
    return float(number) * units[unit]
