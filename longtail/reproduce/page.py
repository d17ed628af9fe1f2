"""Everything a ledger holds as one Markdown page: each table at each scale, the paper beside it, and what is missing."""

from collections.abc import Iterator
from itertools import product
from typing import get_args

from longtail.errors import LongtailError
from longtail.recipe import Recipe
from longtail.reproduce.cells import Cell, build_cells, format_scale
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.show import as_markdown, build_lines
from longtail.reproduce.tables import SCALES, TABLES

HEAD = """# What has been measured

Made by `longtail reproduce all --show --ledger {ledger}`; do not edit. Numbers are percent of the test images, of
the ensemble without mirrored images, at the last epoch: mean ± sample deviation over seeds, (seeds there / seeds
wanted), and in brackets what the ECL paper prints, which compares with scale `full` only. Test images chose nothing.
"""


def render_page(ledger: Ledger) -> str:
    """The page; tables that compare nothing yet are named at its end."""
    precisions = get_args(get_args(Recipe.__annotations__["precision"])[0])
    sections, empty = [], []
    for name in (name for name, table in TABLES.items() if not table.figure):  # figures show runs of these tables
        found = [
            s
            for scale, precision in product(SCALES, precisions)
            if (s := render_section(name, scale, precision, ledger))
        ]
        sections += found
        empty += [] if found else [name]
    sections += render_pictures(ledger)
    missing = f"\nNot two rows are measured yet of: {', '.join(empty)}.\n" if empty else ""
    return HEAD.format(ledger=ledger.path) + "".join(sections) + missing


def render_pictures(ledger: Ledger) -> Iterator[str]:
    """The figures that are drawn, each with its command."""
    for name, scale in product((name for name, table in TABLES.items() if table.figure), SCALES):
        if (path := ledger.picture(name, scale)).exists():
            command = f"longtail reproduce {name} --scale {scale}"
            yield f"\n## {TABLES[name].title}\n\nScale `{scale}`; `{command}`; [picture]({path}).\n"


def render_section(name: str, scale: str, precision: str, ledger: Ledger) -> str:
    """A table at one scale with its command, departures, machines and time; "" unless two of its rows can be compared."""
    cells = list(build_cells(TABLES[name], scale, precision=precision))
    found = dict(read_cells(cells, ledger))
    if len({cell.row.label for cell in cells if cell.name in found}) < 2:
        return ""
    kept = list(found.values())
    command = f"longtail reproduce {name} --scale {scale} --seeds {count_seeds(kept)}"
    command += f" --precision {precision}" if precision != "fp32" else ""
    changed = ", ".join(
        f"{key} {f'{value:.3g}' if isinstance(value, float) else value}" for key, value in SCALES[scale].changes.items()
    )
    machines = sorted(
        {
            f"{k['machine']['device_name']}, {k['machine']['threads']} threads, torch {k['machine']['torch']}"
            for k in kept
        }
    )
    return (
        f"\n## {TABLES[name].title}\n\nScale `{format_scale(scale, precision)}`"
        + (f" ({changed})" if changed else "")
        + f"; `{command}`; {len(kept)} of {len(cells)} cells, {sum(k['seconds'] for k in kept) / 3600:.1f} hours of training; "
        + f"{'; '.join(machines)}; commits {', '.join(sorted({str(k['commit'])[:7] for k in kept}))}.\n\n"
        + as_markdown(build_lines(TABLES[name], cells, ledger))
    )


def read_cells(cells: list[Cell], ledger: Ledger) -> Iterator[tuple[str, dict]]:
    """What is kept of each cell, by its name; corrupt files count as missing."""
    for cell in cells:
        try:
            kept = ledger.read(cell)
        except LongtailError:
            continue
        if kept:
            yield cell.name, kept


def count_seeds(kept: list[dict]) -> int:
    """How many seeds the command has to ask for."""
    return 1 + max(k["recipe"]["seed"] for k in kept)
