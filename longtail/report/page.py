"""From runs to one HTML page: what is on it, and the template filled in."""

from pathlib import Path

from longtail.data import Split
from longtail.errors import LongtailError
from longtail.metrics import METRICS
from longtail.report.classes import one_run, several_runs
from longtail.report.confusions import Wrong
from longtail.report.examples import confusions
from longtail.report.figures import gallery_of, overlay_of
from longtail.report.headline import MEANINGS, NAMES, best_of, differences, group_bars, percent, rows_of, signed
from longtail.report.settings import (
    Setting,
    data_settings,
    environment_settings,
    option_settings,
    recipe_settings,
    source_of,
)
from longtail.report.subject import Subject
from longtail.report.words import lead, noise, sizes, title

FILES = Path(__file__).parent


def compose(subjects: list[Subject], root: str | None, figures: str) -> str:
    """The whole page as HTML: one run in full, several side by side and then each in full."""
    wrong = [Wrong.of(subject).pairs() for subject in subjects]
    split, why = images_of(subjects[0], root)
    several = len(subjects) > 1
    galleries = [gallery_of(subject, split, why, figures) for subject in subjects]
    content = {
        "title": title(subjects),
        "lead": lead(subjects),
        "contents": contents(subjects),
        "subjects": subjects,
        "groups": group_bars(subjects),
        "rows": [rows_of(subject) for subject in subjects],
        "noise": noise(subjects),
        "table": several_runs(subjects) if several else one_run(subjects[0], wrong[0]),
        "sizes": sizes(subjects[0]),
        "galleries": galleries,
        "confusions": [confusions(s, p, split, why) for s, p in zip(subjects, wrong, strict=True)],
        "settings": settings(subjects),
        "sources": {subject.label: source_of(subject) for subject in subjects},
    }
    if several:
        content |= {
            "best": {how: best_of(subjects, how) for how in ("plain", "flip")},
            "differences": differences(subjects),
            "overlay": overlay_of(subjects),
        }
    return fill(content)


def fill(content: dict) -> str:
    """The template with its style and script inlined; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from longtail import __version__  # not above: the package imports this module before it says its version

    environment = Environment(
        loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "signed": signed}
    files = {
        name: Markup((FILES / file).read_text()) for name, file in (("style", "style.css"), ("script", "script.js"))
    }
    words = {"metrics": METRICS, "names": NAMES, "meanings_of": MEANINGS, "version": __version__}
    return environment.get_template("page.html").render(content | files | words)


def contents(subjects: list[Subject]) -> list[tuple[str, str]]:
    """Anchor and name of each section."""
    if len(subjects) == 1:
        own = [("figures", "Figures"), ("by-class", "Classes"), ("confusions", "Confusions")]
        return [("results", "Results"), *own, ("settings", "How it was made")]
    runs = [(f"run-{at}", subject.label) for at, subject in enumerate(subjects, 1)]
    return [("results", "Comparison"), ("by-class", "Classes"), *runs, ("settings", "How it was made")]


def settings(subjects: list[Subject]) -> list[tuple[str, list[Setting], list[str]]]:
    """Caption, lines and column heads of each table of settings."""
    labels = [subject.label for subject in subjects] if len(subjects) > 1 else ["Value"]
    method = subjects[0].recipe.method if len(subjects) == 1 else "the methods"
    found = [
        ("Recipe", recipe_settings(subjects), labels),
        (f"Options of {method}", option_settings(subjects), labels),
        ("Machine", environment_settings(subjects), labels),
        ("Images", data_settings(subjects[0]), ["Value"]),
    ]
    return [(caption, lines, heads) for caption, lines, heads in found if lines]


def images_of(subject: Subject, root: str | None) -> tuple[Split | None, str]:
    """The images of a run; where they are not at hand, None and the reason, and the report does without."""
    try:
        return subject.runs[0].load_data(subject.recipe, root), ""
    except LongtailError as error:
        return None, str(error)
