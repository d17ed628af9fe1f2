"""The command `longtail cache`."""

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
    from longtail.features import cache_root, clear_cache, list_cache

    console, root = Console(), cache_root(cache)
    entries = list_cache(root)
    if clear:
        freed = clear_cache(root)
        console.print(
            f"removed the features of {len(entries)} encoders, {freed / 1e6:,.1f} MB, from {root}", markup=False
        )
        return
    table = Table(
        "network", "weights", "pixels", "looks", "images", "MB", title=escape(str(root)), title_justify="left"
    )
    for entry in entries:
        size = f"{entry['bytes'] / 1e6:,.1f}"
        weights = f"{entry['weights']}, {entry['sha256'][:8]}"
        cells = entry["net"], weights, str(entry["size"]), str(entry["looks"]), f"{entry['images']:,}", size
        table.add_row(*map(escape, cells))
    console.print(table if entries else f"no features are cached in {root}", markup=False)
