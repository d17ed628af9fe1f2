"""The command `longtail inspect DATA`."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from longtail.data import LONG_TAILED, ReadOptions, format_data_name, list_data
from longtail.data.sources import refuse_custom_subsets
from longtail.errors import LongtailError, check_parent_folder, expand_path
from longtail.inspection.advice import give_advice
from longtail.inspection.facts import Facts, collect_facts
from longtail.inspection.page import PAGE, format_page_mark, render_page
from longtail.inspection.summary import build_overview, list_faults
from longtail.recipes import recipe_for
from longtail.runs.files import write_text

MAX_SHOWN = 5  # of each list in the terminal


def inspect(
    data: str,
    /,
    *,
    root: Annotated[
        str | None, Parameter(help="folder with a known set's files, or that a table's paths start from")
    ] = None,
    val: Annotated[
        str | None, Parameter(help="list, table or folder of validation images, where DATA has none")
    ] = None,
    test: Annotated[str | None, Parameter(help="list, table or folder of test images, where DATA has none")] = None,
    imbalance: Annotated[float | None, Parameter(help="of a known long-tailed set; its recipe's if left out")] = None,
    every: Annotated[
        bool, Parameter(help="decode every image to its end, however many there are", negative="")
    ] = False,
    out: Annotated[str | None, Parameter(help="page to write; inspect-NAME.html if left out")] = None,
) -> None:
    """Look at a data set without training: counts, faults, duplicates, advice; in the terminal and as a page."""
    console, target = Console(), resolve_page_path(out, data)
    facts = inspect_data(data, root, val, test, imbalance, every)
    lines = give_advice(facts)
    console.print(f"[bold]{escape(facts.name)}[/]  [dim]{escape(facts.data)}[/]", highlight=False, soft_wrap=True)
    width = max(len(what) for what, _ in build_overview(facts))
    for what, value in build_overview(facts):
        console.print(f"  [dim]{what:<{width}}[/]  {escape(value)}", highlight=False, soft_wrap=True)
    for title, total, shown in list_faults(facts, MAX_SHOWN):
        console.print(f"[bold]{title}[/]: {total:,}", highlight=False)
        more = [f"and {total - MAX_SHOWN:,} more, in {target}"] if total > MAX_SHOWN else []
        console.print(*(f"  {line}" for line in shown + more), sep="\n", markup=False, highlight=False, soft_wrap=True)
    console.print("[bold]Advice[/]")
    console.print(*(f"- {line}" for line in lines), sep="\n", markup=False, highlight=False, soft_wrap=True)
    write_text(target, render_page(facts, lines))
    console.print(
        f"{target}  the same with every class and its histogram", markup=False, highlight=False, soft_wrap=True
    )


def inspect_data(
    data: str, root: str | None, val: str | None, test: str | None, imbalance: float | None, every: bool
) -> Facts:
    """The facts of a named set, or of one's own at a path; raises LongtailError for what cannot be listed at all."""
    if data in LONG_TAILED:
        refuse_custom_subsets(data, ReadOptions(val=val, test=test))
        split = recipe_for(data, **({} if imbalance is None else {"imbalance": imbalance})).load_split(root)
        return collect_facts(split.name, data, list(split.classes.names), split.subsets, split.notes, every)
    if imbalance is not None:
        known = ", ".join(LONG_TAILED)
        raise LongtailError(
            f"imbalance is of sets that are cut ({known}); {data} is shown as it is: leave --imbalance out"
        )
    found = list_data(os.path.abspath(data) if os.path.exists(data) else data, root, ReadOptions(val=val, test=test))
    return collect_facts(format_data_name(data), data, found.names, found.subsets, found.notes, every)


def resolve_page_path(out: str | None, data: str) -> Path:
    """Where the page goes; raises LongtailError if anything but an earlier page of the same data is there already."""
    path = expand_path(out) if out else Path(f"inspect-{format_data_name(data)}.html")
    check_parent_folder(path)
    if not path.exists():
        return path
    head = "" if path.is_dir() else path.read_text(errors="replace")[:200]
    if PAGE not in head:
        raise LongtailError(f"{path} is there already and is no page of `longtail inspect`; choose another --out")
    if format_page_mark(data) not in head:
        raise LongtailError(f"{path} is there already and is the page of another data set; choose another --out")
    return path
