"""The figures of one run in a report: fast figures are drawn, slow figures are read from the run folder."""

import re
from dataclasses import dataclass, field

from longtail.analysis import FIGURES, Drawing, RunOutputs, load_stored_figure, render_figure, save_figure
from longtail.analysis.store import make_figure_folder
from longtail.data import Split
from longtail.errors import LongtailError
from longtail.report import overlay
from longtail.report.summary import RunSummary

FIRST = ("accuracy", "curves", "reliability", "confusion", "tau")  # then all others in the order of FIGURES
CHOICES = ("fast", "all", "none")
# what no figure of longtail contains: a changed file could run a script inside the page
UNSAFE_SVG = re.compile(
    r"<script|<foreignobject|<iframe|javascript:|\son\w+\s*=|href\s*=\s*[\"'](?!#|data:image/)", re.I
)


@dataclass(frozen=True)
class ShownFigure:
    """A figure on the page: title, caption and SVG."""

    title: str
    caption: str
    svg: str

    @property
    def width(self) -> int:
        """Return the width of the picture in points, by which the page shows all figures at one scale."""
        match = re.search(r"viewBox=\"0 0 ([\d.]+)", self.svg[:2000])
        return round(float(match[1])) if match else 480


@dataclass
class Gallery:
    """The figures of a run, a note on their seed, and the titles of missing figures by reason."""

    note: str = ""
    figures: list[ShownFigure] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)


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
    for name in dict.fromkeys((*FIRST, *FIGURES)):
        figure = FIGURES[name]
        if figure.runs == "many":
            continue
        try:
            if split is None and name != "curves" and (figure.cost == "fast" or which == "all"):
                raise LongtailError(reason)
            drawing = (
                render_figure(name, [outputs])
                if figure.cost == "fast"
                else load_slow_figure(name, outputs, which == "all")
            )
        except LongtailError as error:
            gallery.missing.setdefault(str(error), []).append(figure.title)
            continue
        if drawing:
            paper = f" (Fig. {figure.paper} of the paper)" if figure.paper else ""
            gallery.figures.append(ShownFigure(figure.title, figure.caption + paper, drawing.svg))
    return gallery


def load_slow_figure(name: str, outputs: RunOutputs, draw: bool) -> Drawing | None:
    """Return the figure that the run folder stores, or None; `draw` draws and stores the figure first.

    Raises LongtailError for a file that longtail did not write, because the SVG becomes part of the page.
    """
    if draw:
        save_figure(name, [outputs], make_figure_folder(outputs.run) / f"{name}.svg")
    stored = load_stored_figure(outputs.run, name)
    if stored and (f'data-of="longtail figure {name}"' not in stored.svg or UNSAFE_SVG.search(stored.svg)):
        path = outputs.run.path / "figures" / f"{name}.svg"
        raise LongtailError(f"{path} is not a figure that longtail wrote; remove the file, or draw the figure again")
    return stored


def build_overlay(summaries: list[RunSummary]) -> ShownFigure:
    """Draw the accuracy by class of several runs in one picture."""
    caption = (
        "Test accuracy of each class. Classes are sorted by training images, the largest first. Lines over more than "
        f"{overlay.DOTS} classes are moving means."
    )
    return ShownFigure("Accuracy by class, side by side", caption, overlay.draw_overlay(summaries).svg)
