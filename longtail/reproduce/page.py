"""The whole ledger as one Markdown page: each table at each scale, with the values that the paper prints."""

from collections.abc import Iterator
from itertools import product

from longtail.errors import LongtailError
from longtail.reproduce.cells import PRECISIONS, Cell, build_cells, format_scale
from longtail.reproduce.claims import PICTURE as CLAIMS_PICTURE
from longtail.reproduce.claims import find_all, render_claims
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.show import build_lines, describe_printed, format_measured
from longtail.reproduce.submissions import render_submissions
from longtail.reproduce.tables import SCALES, TABLES, fits_scale

HEAD = """# Results

`longtail reproduce all --show --ledger {ledger}` writes this page; do not edit it. Numbers are percent of the test
images, for the ensemble at the last epoch, without flip TTA. Each number is the mean ± sample standard deviation over
seeds; (1/3) means that one of three seeds is finished. Brackets hold the value that the ECL paper prints; only scale
`full` compares with them. A p beside the value says that it was published elsewhere; docs/reproduction.md explains
all marks. No test image chose an epoch or a setting.
"""


def render_page(ledger: Ledger) -> str:
    """Return the page; its last line names the tables that have fewer than two finished rows."""
    sections, empty = [], []
    for name in (name for name, table in TABLES.items() if not table.figure):  # figures reuse the runs of these tables
        rendered = [
            section
            for scale, precision in product(TABLES[name].scales, PRECISIONS)
            if (section := render_section(name, scale, precision, ledger))
        ]
        sections += rendered
        empty += [] if rendered else [name]
    sections += (section for scale in SCALES for section in render_pictures(scale, ledger))
    missing = f"\nToo few rows are finished of: {', '.join(empty)}.\n" if empty else ""
    picture = ledger.path / "figures" / CLAIMS_PICTURE
    claims = "\n".join(render_claims(find_all(ledger), str(picture) if picture.exists() else None))
    submissions = "\n".join(render_submissions(ledger))
    submissions = f"\n{submissions}\n" if submissions else ""
    return f"{HEAD.format(ledger=ledger.path)}\n{claims}\n{submissions}" + "".join(sections) + missing


def render_scale(scale: str, precision: str, ledger: Ledger) -> str:
    """Return all tables and figures at one scale and precision as a page, "" if nothing is finished there."""
    names = [name for name, table in TABLES.items() if fits_scale(table, scale) and not table.figure]
    sections = [render_section(name, scale, precision, ledger) for name in names]
    sections += render_pictures(scale, ledger) if precision == "fp32" else []
    if not any(sections):
        return ""
    return f"# Scale `{format_scale(scale, precision)}`\n\n{SCALES[scale].about}\n" + "".join(sections)


def render_pictures(scale: str, ledger: Ledger) -> Iterator[str]:
    """Yield a section for every drawn figure of a scale, with its command."""
    for name in (name for name, table in TABLES.items() if table.figure):
        if (path := ledger.picture(name, scale)).exists():
            command = f"longtail reproduce {name} --scale {scale}"
            text = f"Scale `{scale}`; `{command}`; [picture]({path}). {describe_printed(TABLES[name])}"
            yield f"\n## {TABLES[name].title}\n\n{text.strip()}\n"


def render_section(name: str, scale: str, precision: str, ledger: Ledger) -> str:
    """Return a table at one scale with command, changes of the recipe, machines and time; "" with too few rows."""
    if not any(ledger.path.glob(f"{format_scale(scale, precision)}-*.json")):  # before hundreds of recipes are built
        return ""
    cells = list(build_cells(TABLES[name], scale, precision=precision))
    contents = dict(read_cells(cells, ledger))
    if len({cell.row.label for cell in cells if cell.name in contents}) < TABLES[name].least_rows:
        return ""
    kept = list(contents.values())
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
        f"\n## {TABLES[name].title} (`{format_scale(scale, precision)}`)\n\nScale `{format_scale(scale, precision)}`"
        + (f" ({changed})" if changed else "")
        + f"; `{command}`; {len(kept)} of {len(cells)} cells, {sum(k['seconds'] for k in kept) / 3600:.1f} hours of training; "
        + f"{'; '.join(machines)}; commits {', '.join(sorted({str(k['commit'])[:7] for k in kept}))}.\n\n"
        + format_measured(build_lines(TABLES[name], cells, ledger))
    )


def read_cells(cells: list[Cell], ledger: Ledger) -> Iterator[tuple[str, dict]]:
    """Yield name and contents of every finished cell; an unusable file counts as missing."""
    for cell in cells:
        try:
            kept = ledger.read(cell)
        except LongtailError:
            continue
        if kept:
            yield cell.name, kept


def count_seeds(kept: list[dict]) -> int:
    """Return the number of seeds that the command has to name."""
    return 1 + max(k["recipe"]["seed"] for k in kept)
