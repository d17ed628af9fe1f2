"""The figures of one run: the fast ones drawn, the slow ones taken from where they are kept."""

import re
from dataclasses import dataclass, field

from longtail.analysis import FIGURES, Drawing, RunOutputs, load_stored_figure, render_figure, save_figure
from longtail.analysis.store import make_figure_folder
from longtail.data import Split
from longtail.errors import LongtailError
from longtail.report import overlay
from longtail.report.summary import RunSummary

FIRST = ("accuracy", "curves", "reliability", "confusion", "tau")  # then the others, as they are listed
CHOICES = ("fast", "all", "none")
SUSPECT = re.compile(r"<script|<foreignobject|<iframe|javascript:|\son\w+\s*=|href\s*=\s*[\"'](?!#|data:image/)", re.I)


@dataclass(frozen=True)
class ShownFigure:
    """A figure on the page."""

    title: str
    caption: str
    svg: str

    @property
    def width(self) -> int:
        """Of the picture in points, so that all can be shown at one scale, their letters alike."""
        found = re.search(r"viewBox=\"0 0 ([\d.]+)", self.svg[:2000])
        return round(float(found[1])) if found else 480


@dataclass
class Gallery:
    """The figures of a run, a note on whose they are, and by reason the titles of those that could not be drawn."""

    note: str = ""
    figures: list[ShownFigure] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)


def build_gallery(summary: RunSummary, split: Split | None, why: str, which: str) -> Gallery:
    """Every figure that one run allows; of several seeds, those of the first. One that cannot be drawn says why.

    Without a split, whose absence `why` explains, only the curves are drawn; kept figures are shown.
    """
    seeds = summary.seeds
    gallery = Gallery(f"Drawn from seed {seeds[0]}, the first of {len(seeds)}." if len(seeds) > 1 else "")
    if which == "none":
        return Gallery("Left out, as asked.")
    outputs = RunOutputs.load(summary.runs[0], split)
    for name in dict.fromkeys((*FIRST, *FIGURES)):
        figure = FIGURES[name]
        if figure.runs == "many":
            continue
        try:
            if split is None and name != "curves" and (figure.cost == "fast" or which == "all"):
                raise LongtailError(why)
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


def load_slow_figure(name: str, outputs: RunOutputs, wanted: bool) -> Drawing | None:
    """The figure that is kept in the run, drawn and kept now if wanted; None if there is none.

    Raises LongtailError for a file that longtail did not write, as it becomes part of the page.
    """
    if wanted:
        save_figure(name, [outputs], make_figure_folder(outputs.run) / f"{name}.svg")
    found = load_stored_figure(outputs.run, name)
    if found and (f'data-of="longtail figure {name}"' not in found.svg or SUSPECT.search(found.svg)):
        path = outputs.run.path / "figures" / f"{name}.svg"
        raise LongtailError(f"{path} is not a figure that longtail wrote; remove it, or draw it again")
    return found


def build_overlay(summaries: list[RunSummary]) -> ShownFigure:
    """Accuracy by class of several runs in one picture."""
    caption = "Accuracy of each class, from the most training images to the fewest; of many classes a moving mean."
    return ShownFigure("Accuracy by class, side by side", caption, overlay.draw_overlay(summaries).svg)
