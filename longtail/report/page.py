"""The HTML page of a report: the contents, and the template that shows them."""

from pathlib import Path

from longtail import __version__
from longtail.data import Split
from longtail.data.catalog import hide_folders
from longtail.errors import LongtailError
from longtail.metrics import METRICS
from longtail.report.classes import build_class_table, build_comparison_table
from longtail.report.confusions import Misclassified
from longtail.report.examples import build_confusions
from longtail.report.figures import Gallery, build_gallery, build_overlay
from longtail.report.headline import (
    MEANINGS,
    NAMES,
    build_group_bars,
    build_rows,
    compute_differences,
    find_best,
    format_percent,
    format_signed,
)
from longtail.report.sentences import (
    count_groups,
    format_extremes,
    format_folder,
    format_lead,
    format_noise,
    format_title,
)
from longtail.report.settings import (
    Setting,
    format_source,
    list_data_settings,
    list_environment_settings,
    list_option_settings,
    list_recipe_settings,
)
from longtail.report.summary import RunSummary

FILES = Path(__file__).parent


def compose_page(summaries: list[RunSummary], root: str | None, figures: str) -> str:
    """Compose the page as HTML: one run in full, or a comparison of several runs and then each run in full."""
    wrong = [Misclassified.load(summary) for summary in summaries]
    pairs = [each.count_pairs() for each in wrong]
    split, reason = load_images(summaries[0], root)
    several = len(summaries) > 1
    galleries = [build_gallery(summary, split, reason, figures) for summary in summaries]
    content = {
        "title": format_title(summaries),
        "lead": format_lead(summaries),
        "contents": list_sections(summaries, galleries),
        "summaries": summaries,
        "groups": build_group_bars(summaries),
        "rows": [build_rows(summary) for summary in summaries],
        "noise": format_noise(summaries),
        "extremes": [format_extremes(summary) for summary in summaries],
        "table": build_comparison_table(summaries) if several else build_class_table(summaries[0], pairs[0]),
        "sizes": count_groups(summaries[0]),
        "galleries": galleries,
        "confusions": [
            build_confusions(summary, found, each.find_worst(), split, reason)
            for summary, found, each in zip(summaries, pairs, wrong, strict=True)
        ],
        "settings": build_settings(summaries),
        "folders": {summary.label: format_folder(summary) for summary in summaries},
        "sources": {summary.label: format_source(summary) for summary in summaries},
    }
    if several:
        content |= {
            "best": {how: find_best(summaries, how) for how in ("plain", "flip")},
            "differences": compute_differences(summaries),
            "overlay": build_overlay(summaries),
        }
    return render_template(content)


def render_template(content: dict) -> str:
    """Render the template with style and script inlined; every text is escaped.

    The content security policy of the page holds the hashes of style and script.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from longtail.report.photographs import break_name
    from longtail.report.styles import StyleRules, hash_source

    environment = Environment(
        loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": format_percent,
        "signed": format_signed,
        "source": hash_source,
        "name": break_name,
    }
    # the page is one file, so style and script are part of it
    files = {
        name: Markup((FILES / file).read_text()) for name, file in (("style", "style.css"), ("script", "script.js"))
    }
    words = {"metrics": METRICS, "names": NAMES, "meanings_of": MEANINGS, "version": __version__, "rules": StyleRules()}
    return environment.get_template("page.html").render(content | files | words)


def list_sections(summaries: list[RunSummary], galleries: list[Gallery]) -> list[tuple[str, str]]:
    """Return the anchor and name of each section."""
    if len(summaries) == 1:
        decisions = [("decisions", "Decisions")] if galleries[0].decisions else []
        sections = [*decisions, ("figures", "Figures"), ("by-class", "Classes"), ("confusions", "Errors")]
        return [("results", "Results"), *sections, ("settings", "Settings")]
    runs = [(f"run-{i}", summary.label) for i, summary in enumerate(summaries, 1)]
    return [("results", "Comparison"), ("by-class", "Classes"), *runs, ("settings", "Settings")]


def build_settings(summaries: list[RunSummary]) -> list[tuple[str, list[Setting], list[str]]]:
    """Return caption, lines and column heads of each settings table."""
    labels = [summary.label for summary in summaries] if len(summaries) > 1 else ["Value"]
    method = summaries[0].recipe.method if len(summaries) == 1 else "the methods"
    tables = [
        ("Recipe", list_recipe_settings(summaries), labels),
        (f"Options of {method}", list_option_settings(summaries), labels),
        ("Machine", list_environment_settings(summaries), labels),
        ("Images", list_data_settings(summaries[0]), ["Value"]),
    ]
    return [(caption, lines, heads) for caption, lines, heads in tables if lines]


def load_images(summary: RunSummary, root: str | None) -> tuple[Split | None, str]:
    """Load the images of a run; returns (None, reason) if they cannot be read, and the report omits them."""
    try:
        return summary.first.load_data(root), ""
    except LongtailError as error:
        return None, hide_folders(str(error), summary.recipe.data)
