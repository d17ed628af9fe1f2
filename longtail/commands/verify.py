"""`longtail reproduce verify` and `accept`: the numbers of a cell computed again, and cells of other people."""

from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid

from longtail.errors import LongtailError, expand_path


def verify_cell(
    console: Console, path: str, name: str | None, root: str | None, attach: bool, submit: str | None
) -> None:
    """Print the numbers of a cell beside those that follow from its predictions; attach or export these if asked to."""
    from longtail.reproduce.ledger import Ledger
    from longtail.reproduce.verify import attach as attach_predictions
    from longtail.reproduce.verify import export, verify

    if name is None:
        raise LongtailError(f"name a cell of {path}: longtail reproduce verify CELL, the first letters are enough")
    ledger = Ledger(path)
    out = expand_path(submit) if submit else None
    if out and out.exists():
        raise LongtailError(f"{out} exists; choose another --submit")
    checks = verify(ledger, name, root)
    grid = Grid(
        "model", "metric", "reported", "computed", title=f"{name}: {len(checks)} numbers agree", title_justify="left"
    )
    for check in checks:
        values = ("n/a" if value is None else f"{value:.2f}" for value in (check.reported, check.computed))
        grid.add_row(check.model, check.metric, *values)
    console.print(grid)
    if attach or out:
        console.print(f"predictions attached: {attach_predictions(ledger, name)}", highlight=False, soft_wrap=True)
    if out:
        export(ledger, name, Path(out))
        console.print(f"cell and predictions written to {out}", highlight=False, soft_wrap=True)


def accept_cell(console: Console, path: str, source: str | None, by: str | None, root: str | None) -> None:
    """Verify a submitted cell, keep it in the ledger, and print where."""
    from longtail.reproduce.ledger import Ledger
    from longtail.reproduce.submissions import accept

    if source is None or by is None:
        raise LongtailError("name the submitted file and who sent it: longtail reproduce accept FILE.zip --by NAME")
    kept = accept(Ledger(path), source, by, root)
    console.print(
        f"every number agrees with the predictions; kept as {kept}", highlight=False, markup=False, soft_wrap=True
    )
