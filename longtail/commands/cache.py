"""The command `longtail cache`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def cache(
    *,
    cache: Annotated[
        str | None, Parameter(help="folder of the cache; by default $LONGTAIL_CACHE or ~/.cache/longtail")
    ] = None,
    clear: Annotated[bool, Parameter(help="remove all cached features", negative="")] = False,
) -> None:
    """List the features of frozen encoders that are kept for the next run, or remove them."""
    from longtail.features import ABOUT, cache_root, clear_cache, list_cache
    from longtail.runs.files import report_damage

    console, root = Console(), cache_root(cache)
    if clear:
        console.print(f"removed {clear_cache(root) / 1e6:,.1f} MB of features from {root}", markup=False)
        return
    entries = list_cache(root)
    table = Table(
        "network", "weights", "pixels", "looks", "images", "MB", title=escape(str(root)), title_justify="left"
    )
    for entry in entries:
        with report_damage(Path(entry["folder"], ABOUT)):
            weights, size = f"{entry['weights']}, {entry['sha256'][:8]}", f"{entry['bytes'] / 1e6:,.1f}"
            cells = entry["net"], weights, str(entry["size"]), str(entry["looks"]), f"{entry['images']:,}", size
            table.add_row(*map(escape, cells))
    console.print(table if entries else f"no features are cached in {root}", markup=False)
