"""The command `longtail cache`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

PLAIN: dict[str, Any] = {"markup": False, "highlight": False, "soft_wrap": True}  # a path stays whole


def cache(
    *,
    cache: Annotated[
        str | None, Parameter(help="folder of the cache; by default $LONGTAIL_CACHE or ~/.cache/longtail")
    ] = None,
    clear: Annotated[bool, Parameter(help="remove all of it", negative="")] = False,
) -> None:
    """List what is kept for the next run, or remove it: features of frozen encoders, and images copied from parquet."""
    from longtail.features import ABOUT, cache_root, clear_cache, list_cache
    from longtail.runs.files import report_damage
    from longtail.unpack import clear_copies, measure_copies

    console, root = Console(), cache_root(cache)
    if clear:
        freed = clear_cache(root), clear_copies(root)
        console.print(f"removed {freed[0] / 1e6:,.1f} MB of features from {root}", **PLAIN)
        if freed[1]:
            console.print(f"removed {freed[1] / 1e6:,.1f} MB of images from {root}", **PLAIN)
        return
    if copied := measure_copies(root):
        console.print(f"{copied / 1e6:,.1f} MB of training images, copied from parquet, are in {root}", **PLAIN)
    entries = list_cache(root)
    weights_column = Column("weights", overflow="fold")  # a name is told whole, on several lines of a narrow terminal
    table = Table("network", weights_column, "pixels", "looks", "images", "MB")
    for entry in entries:
        with report_damage(Path(entry["folder"], ABOUT)):
            weights, size = f"{entry['weights']}, {entry['sha256'][:8]}", f"{entry['bytes'] / 1e6:,.1f}"
            cells = entry["net"], weights, str(entry["size"]), str(entry["looks"]), f"{entry['images']:,}", size
            table.add_row(*map(escape, cells))
    if not entries:
        console.print(f"no features are cached in {root}", **PLAIN)
        return
    console.print(f"features in {root}", **PLAIN)
    console.print(table)
