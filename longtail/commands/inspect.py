"""The command `longtail inspect DATA`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from longtail.data.catalog import format_data_name, is_custom
from longtail.errors import LongtailError, check_parent_folder, expand_path
from longtail.recipes import DEFAULT, recipe_for
from longtail.validation import Range, check_value

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
    net: Annotated[
        str | None,
        Parameter(help="network of timm by whose features near duplicates are found; a frozen run reuses them"),
    ] = None,
    weights: Annotated[str | None, Parameter(help="weights of --net, as of train; by default auto")] = None,
    cosine: Annotated[float | None, Parameter(help="from which two images are near duplicates (default 0.5)")] = None,
    cache: Annotated[str | None, Parameter(help="folder of cached features; by default that of train")] = None,
    every: Annotated[bool, Parameter(help="decode every image in full, however many there are", negative="")] = False,
    out: Annotated[str | None, Parameter(help="page to write; by default inspect-NAME.html")] = None,
) -> None:
    """Inspect a data set before training: counts, faults, duplicates, advice; in the terminal and as a page."""
    from longtail.commands.console import break_silence
    from longtail.inspection.advice import give_advice
    from longtail.inspection.near_page import MARK, build_near_json
    from longtail.inspection.page import render_page
    from longtail.inspection.suggestions import measure_suggestions, suggest_commands
    from longtail.inspection.summary import build_overview, list_faults, list_near
    from longtail.runs.files import write_json, write_text

    for name, value in {"weights": weights, "cosine": cosine, "cache": cache}.items():
        if value is not None and net is None:
            raise LongtailError(
                f"{name} is of the network that finds near duplicates; add --net, or leave --{name} out"
            )
    if cosine is not None:
        check_value("cosine", cosine, float, Range(-1, 1))
    if net is not None:
        recipe_for(data, "frozen", net=net, weights=weights or "auto")  # an unknown network costs no reading of images
    console, target = Console(), resolve_page_path(out, data)
    table = target.with_suffix(".near.json")
    if (
        net is not None
        and table.exists()
        and (not table.is_file() or MARK not in table.read_text(errors="replace")[:200])
    ):
        raise LongtailError(f"{table} is there already and is no list of `longtail inspect`; choose another --out")
    with break_silence("reading the images"):
        facts = inspect_data(data, root, val, test, imbalance, every, group)
        if net is not None:
            facts = add_near_duplicates(facts, net, weights, cosine, cache)
    lines = give_advice(facts)
    console.print(f"[bold]{escape(facts.name)}[/]  [dim]{escape(facts.data)}[/]", highlight=False, soft_wrap=True)
    width = max(len(name) for name, _ in build_overview(facts))
    for name, value in build_overview(facts):
        console.print(f"  [dim]{name:<{width}}[/]  {escape(value)}", highlight=False, soft_wrap=True)
    for title, total, shown in list_faults(facts, MAX_SHOWN) + list_near(facts, MAX_SHOWN):
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
    if facts.near is not None:
        write_json(table, build_near_json(facts))
        console.print(f"{table}  the near duplicates as JSON", markup=False, highlight=False, soft_wrap=True)
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
    group = None if group == "none" else group or (AUTO if is_custom(data) else None)
    reading = ReadOptions(val=val, test=test, group=group)
    found = list_data(os.path.abspath(data) if os.path.exists(data) else data, root, reading)
    name = format_data_name(data)
    return collect_facts(name, data, found.names, dict(found.subsets), found.notes, every, found.grouping)


def add_near_duplicates(
    facts: "Facts", net: str, weights: str | None, cosine: float | None, cache: str | None
) -> "Facts":
    """Return the facts with the near duplicates under a network."""
    from longtail.commands.console import build_report
    from longtail.distributed import init_world
    from longtail.inspection.near import (
        COSINE,
        NearDuplicates,
        build_near_extractor,
        compute_features,
        find_near_duplicates,
    )
    from longtail.inspection.suggestions import draw_test_images

    world, cosine = init_world(), COSINE if cosine is None else cosine
    with build_report(Console()) as report:
        extractor = build_near_extractor(facts.data, net, weights, world, report, cache)
        held = draw_test_images(facts)[1]
        skip_bad = bool(facts.headers.bad) or not facts.headers.is_decoded
        features, rows = compute_features(extractor, facts.subsets, held, skip_bad)
    pairs = find_near_duplicates(facts.duplicates, features, rows, world.device, cosine)
    about = {name: extractor.about[name] for name in ("weights", "sha256")}
    return replace(facts, near=NearDuplicates(net, about, cosine, pairs))


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
