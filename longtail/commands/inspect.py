"""The command `longtail inspect DATA`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from longtail.data.catalog import format_data_name, is_path
from longtail.errors import LongtailError, check_parent_folder, expand_path
from longtail.recipes import DEFAULT, recipe_for

if TYPE_CHECKING:
    from longtail.inspection.facts import Facts

MAX_SHOWN = 5  # entries of each list in the terminal


def inspect(
    data: str,
    /,
    *,
    root: Annotated[
        str | None, Parameter(help="folder with the files of a known set, or from which the paths of a table start")
    ] = None,
    val: Annotated[
        str | None, Parameter(help="list, table or folder of validation images, where DATA has none")
    ] = None,
    test: Annotated[str | None, Parameter(help="list, table or folder of test images, where DATA has none")] = None,
    group: Annotated[
        str | None,
        Parameter(
            help="regex over image paths that names tracks, sites or surveys; by default the column group of a table"
        ),
    ] = None,
    imbalance: Annotated[
        float | None, Parameter(help="imbalance of a known long-tailed set; by default that of its recipe")
    ] = None,
    every: Annotated[bool, Parameter(help="decode every image in full, however many there are", negative="")] = False,
    out: Annotated[str | None, Parameter(help="page to write; by default inspect-NAME.html")] = None,
) -> None:
    """Inspect a data set before training: counts, faults, duplicates, advice; in the terminal and as a page."""
    from longtail.commands.console import break_silence
    from longtail.inspection.advice import give_advice
    from longtail.inspection.page import render_page
    from longtail.inspection.suggestions import measure_suggestions, suggest_commands
    from longtail.inspection.summary import build_overview, list_faults
    from longtail.runs.files import write_text

    console, target = Console(), resolve_page_path(out, data)
    with break_silence("reading the images"):
        facts = inspect_data(data, root, val, test, imbalance, every, group)
    lines = give_advice(facts)
    console.print(f"[bold]{escape(facts.name)}[/]  [dim]{escape(facts.data)}[/]", highlight=False, soft_wrap=True)
    width = max(len(name) for name, _ in build_overview(facts))
    for name, value in build_overview(facts):
        console.print(f"  [dim]{name:<{width}}[/]  {escape(value)}", highlight=False, soft_wrap=True)
    for title, total, shown in list_faults(facts, MAX_SHOWN):
        console.print(f"[bold]{title}[/]: {total:,}", highlight=False)
        more = [f"and {total - MAX_SHOWN:,} more, in {target}"] if total > MAX_SHOWN else []
        console.print(*(f"  {line}" for line in shown + more), sep="\n", markup=False, highlight=False, soft_wrap=True)
    console.print("[bold]Advice[/]")
    console.print(*(f"- {line}" for line in lines), sep="\n", markup=False, highlight=False, soft_wrap=True)
    suggestions = []
    if data not in DEFAULT:
        with console.status("measuring what training costs"):
            needed = suggest_commands(facts, {"root": root, "val": val, "test": test, "group": group})
            suggestions = measure_suggestions(needed, facts)
        console.print("[bold]Commands[/], with what they cost on this machine, about", highlight=False)
    for row in suggestions:
        console.print(f"  {row.name:<12}  {row.command}", markup=False, highlight=False, soft_wrap=True)
        console.print(f"  {'':<12}  {row.cost}", style="dim", markup=False, highlight=False, soft_wrap=True)
    write_text(target, render_page(facts, lines, suggestions))
    console.print(
        f"{target}  the same, with every class and a histogram", markup=False, highlight=False, soft_wrap=True
    )


def inspect_data(
    data: str,
    root: str | None,
    val: str | None,
    test: str | None,
    imbalance: float | None,
    every: bool,
    group: str | None = None,
) -> "Facts":
    """Collect the facts of a known data set, or of custom data at a path.

    Raises LongtailError for data that cannot be listed.
    """
    from longtail.data import LONG_TAILED, ReadOptions, list_data
    from longtail.data.groups import AUTO
    from longtail.data.sources import refuse_custom_subsets
    from longtail.inspection.facts import collect_facts

    if data in LONG_TAILED:
        refuse_custom_subsets(data, ReadOptions(val=val, test=test, group=group))
        changes: dict[str, Any] = {} if imbalance is None else {"imbalance": imbalance}
        split = recipe_for(data, **changes).load_split(root)
        return collect_facts(split.name, data, list(split.classes.names), split.image_subsets, split.notes, every)
    if imbalance is not None:
        known = ", ".join(LONG_TAILED)
        raise LongtailError(
            f"imbalance is of the sets that longtail cuts ({known}); {data} is inspected as it is: leave --imbalance out"
        )
    group = None if group == "none" else group or (AUTO if is_path(data) else None)
    reading = ReadOptions(val=val, test=test, group=group)
    found = list_data(os.path.abspath(data) if os.path.exists(data) else data, root, reading)
    name = format_data_name(data)
    return collect_facts(name, data, found.names, dict(found.subsets), found.notes, every, found.grouping)


def resolve_page_path(out: str | None, data: str) -> Path:
    """Return the path of the page; raises LongtailError if another file than an earlier page of the same data is there."""
    from longtail.inspection.page import PAGE, format_page_mark

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
