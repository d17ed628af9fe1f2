"""The figures of one run in a report: fast figures are drawn, slow figures are read from the run folder."""

import base64
import re
from dataclasses import dataclass, field

from longtail.analysis import FIGURES, Drawing, RunOutputs, load_stored_figure, render_figure, save_figure
from longtail.analysis.store import make_figure_folder
from longtail.analysis.style import INK
from longtail.data import Split
from longtail.data.catalog import hide_folders
from longtail.errors import LongtailError
from longtail.report import overlay
from longtail.report.decisions import ShownDecisions, build_decisions
from longtail.report.summary import RunSummary

FIRST = (
    "accuracy",
    "curves",
    "reliability",
    "recalibration",
    "sets",
    "risk",
    "confusion",
    "tau",
)  # then all others in the order of FIGURES
CHOICES = ("fast", "all", "none")
WIDEST = 2000  # points; the page scales figures by their width


@dataclass(frozen=True)
class ShownFigure:
    """A figure on the page: title, caption, SVG, description; `is_stored` if the SVG comes from a file."""

    title: str
    caption: str
    svg: str
    alt: str
    is_stored: bool = False

    @property
    def uri(self) -> str:
        """Return a stored SVG as the data URI of an <img>, "" for an SVG that is part of the page.

        A run folder may come from anyone, and a browser runs no script and loads no file of an SVG in an <img>.
        """
        if not self.is_stored:
            return ""
        # an <img> does not inherit the color of the page; style.css sets it on white
        content = self.svg.replace("currentColor", INK).encode()
        return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"

    @property
    def width(self) -> int:
        """Return the width of the picture in points, by which the page shows all figures at one scale."""
        match = re.search(r"viewBox=\"0 0 (\d{1,6}(?:\.\d+)?)", self.svg[:2000])
        return min(round(float(match[1])), WIDEST) if match else 480


@dataclass
class Gallery:
    """The figures of a run, a note on their seed, and the titles of missing figures by reason.

    `decisions` is there if the run is calibrated.
    """

    note: str = ""
    figures: list[ShownFigure] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)
    decisions: ShownDecisions | None = None


def build_gallery(summary: RunSummary, split: Split | None, reason: str, which: str) -> Gallery:
    """Build all figures of one run, or of the first seed; `which` is "fast", "all" or "none".

    Without a split, for the given reason, only the curves are drawn, and stored figures are shown. A figure that cannot
    be drawn is listed in `missing`.
    """
    seeds = summary.seeds
    gallery = Gallery(f"Drawn from seed {seeds[0]}, the first of {len(seeds)}." if len(seeds) > 1 else "")
    if which == "none":
        return Gallery("This report was written with --figures none.")
    outputs = RunOutputs.load(summary.runs[0], split)
    is_calibrated = outputs.is_calibrated
    if is_calibrated and split is not None:
        try:
            gallery.decisions = build_decisions(outputs)
        except LongtailError as error:
            gallery.missing[hide_folders(str(error), summary.recipe.data)] = ["Prediction sets"]
            is_calibrated = False
    for name in dict.fromkeys((*FIRST, *FIGURES)):
        figure = FIGURES[name]
        if figure.runs == "many" or figure.experts > summary.experts or (figure.calibrated and not is_calibrated):
            continue
        title, caption = figure.title, figure.caption + (f" (Fig. {figure.paper} of the paper)" if figure.paper else "")
        if figure.single and summary.experts == 1:
            title, caption = figure.single
        try:
            if split is None and name != "curves" and (figure.cost == "fast" or which == "all"):
                raise LongtailError(reason)
            is_stored = figure.cost == "slow"
            drawing = load_slow_figure(name, outputs, which == "all") if is_stored else render_figure(name, [outputs])
        except LongtailError as error:
            reason_here = hide_folders(str(error), summary.recipe.data)
            gallery.missing.setdefault(reason_here, []).append(title)
            continue
        if drawing:
            gallery.figures.append(ShownFigure(title, caption, drawing.svg, drawing.alt, is_stored))
    return gallery


def load_slow_figure(name: str, outputs: RunOutputs, draw: bool) -> Drawing | None:
    """Return the figure that the run folder stores, or None; `draw` draws and stores the figure first.

    Raises LongtailError for a file without the mark of the figure.
    """
    if draw:
        save_figure(name, [outputs], make_figure_folder(outputs.run) / f"{name}.svg")
    stored = load_stored_figure(outputs.run, name)
    if stored and f'data-of="longtail figure {name}"' not in stored.svg:
        path = outputs.run.path / "figures" / f"{name}.svg"
        raise LongtailError(f"{path} is not a figure that longtail wrote; remove the file, or draw the figure again")
    return stored


def build_overlay(summaries: list[RunSummary]) -> ShownFigure:
    """Draw the accuracy by class of several runs in one picture."""
    caption = (
        "Test accuracy of each class. Classes are sorted by training images, the largest first. Lines over more than "
        f"{overlay.DOTS} classes are moving means."
    )
    drawing = overlay.draw_overlay(summaries)
    return ShownFigure("Accuracy by class, side by side", caption, drawing.svg, drawing.alt)
