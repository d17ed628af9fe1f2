"""From runs to one HTML page: what is on it, and the template filled in."""

from pathlib import Path

from longtail import __version__
from longtail.data import Split
from longtail.errors import LongtailError
from longtail.metrics import METRICS
from longtail.report.classes import build_class_table, build_comparison_table
from longtail.report.confusions import Misclassified
from longtail.report.examples import build_confusions
from longtail.report.figures import build_gallery, build_overlay
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
from longtail.report.sentences import count_groups, format_lead, format_noise, format_title
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
    """The whole page as HTML: one run in full, several side by side and then each in full."""
    wrong = [Misclassified.load(summary).pairs() for summary in summaries]
    split, why = load_images(summaries[0], root)
    several = len(summaries) > 1
    galleries = [build_gallery(summary, split, why, figures) for summary in summaries]
    content = {
        "title": format_title(summaries),
        "lead": format_lead(summaries),
        "contents": list_sections(summaries),
        "summaries": summaries,
        "groups": build_group_bars(summaries),
        "rows": [build_rows(summary) for summary in summaries],
        "noise": format_noise(summaries),
        "table": build_comparison_table(summaries) if several else build_class_table(summaries[0], wrong[0]),
        "sizes": count_groups(summaries[0]),
        "galleries": galleries,
        "confusions": [build_confusions(s, p, split, why) for s, p in zip(summaries, wrong, strict=True)],
        "settings": build_settings(summaries),
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
    """The template with its style and script inlined; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": format_percent, "signed": format_signed}
    files = {
        name: Markup((FILES / file).read_text()) for name, file in (("style", "style.css"), ("script", "script.js"))
    }
    words = {"metrics": METRICS, "names": NAMES, "meanings_of": MEANINGS, "version": __version__}
    return environment.get_template("page.html").render(content | files | words)


def list_sections(summaries: list[RunSummary]) -> list[tuple[str, str]]:
    """Anchor and name of each section."""
    if len(summaries) == 1:
        own = [("figures", "Figures"), ("by-class", "Classes"), ("confusions", "Confusions")]
        return [("results", "Results"), *own, ("settings", "How it was made")]
    runs = [(f"run-{at}", summary.label) for at, summary in enumerate(summaries, 1)]
    return [("results", "Comparison"), ("by-class", "Classes"), *runs, ("settings", "How it was made")]


def build_settings(summaries: list[RunSummary]) -> list[tuple[str, list[Setting], list[str]]]:
    """Caption, lines and column heads of each table of settings."""
    labels = [summary.label for summary in summaries] if len(summaries) > 1 else ["Value"]
    method = summaries[0].recipe.method if len(summaries) == 1 else "the methods"
    found = [
        ("Recipe", list_recipe_settings(summaries), labels),
        (f"Options of {method}", list_option_settings(summaries), labels),
        ("Machine", list_environment_settings(summaries), labels),
        ("Images", list_data_settings(summaries[0]), ["Value"]),
    ]
    return [(caption, lines, heads) for caption, lines, heads in found if lines]


def load_images(summary: RunSummary, root: str | None) -> tuple[Split | None, str]:
    """The images of a run; where they are not at hand, None and the reason, and the report does without."""
    try:
        return summary.first.load_data(root), ""
    except LongtailError as error:
        return None, str(error)
