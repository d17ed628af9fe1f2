"""Table of contents: every figure of the paper and of a run, one file and one line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from longtail.analysis.evidence import Evidence, gather
from longtail.analysis.picture import Arrays, Drawing, describe, to_bytes
from longtail.errors import LongtailError, unknown


@dataclass(frozen=True)
class Figure:
    """A figure's module, title, number in the paper (or ""), one-sentence caption; fast or slow; drawn of one run or many."""

    path: str
    title: str
    paper: str
    caption: str
    cost: str = "fast"
    runs: str = "one"

    @property
    def module(self) -> ModuleType:
        """LAYOUT, compute -> arrays, draw(axes, arrays), describe(arrays) -> str."""
        return import_module(f"longtail.analysis.{self.path}")


FIGURES = {
    "accuracy": Figure(
        "accuracy",
        "Accuracy by class",
        "",
        "Test accuracy of each class, from the class with the most training images to the one with the fewest.",
    ),
    "curves": Figure(
        "curves",
        "Training",
        "",
        "The weighted loss terms on the training images, and the accuracy wherever the model was tested.",
    ),
    "reliability": Figure(
        "reliability",
        "Reliability",
        "9",
        "Accuracy against confidence in 15 bins; a calibrated model follows the diagonal.",
    ),
}


def figure(name: str) -> Figure:
    """A figure by name; raises LongtailError for an unknown one."""
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    return FIGURES[name]


def compute(name: str, evidences: Sequence[Evidence]) -> dict[str, Arrays]:
    """The arrays of each panel by its label: a panel for each run, or one for all where the figure is drawn of many."""
    if not evidences:
        raise LongtailError(f"figure {name} needs a run")
    module = figure(name).module
    if figure(name).runs == "many":
        return {"": module.compute(module.points(evidences))}
    return {evidence.label: module.compute(evidence) for evidence in evidences}


def picture(name: str, panels: dict[str, Arrays]) -> Drawing:
    """The drawing of arrays that `compute` returned, or that a ledger keeps."""
    module = figure(name).module
    return Drawing(to_bytes(module, panels, "svg", mark(name)).decode(), describe(module, panels))


def render(name: str, evidences: Sequence[Evidence]) -> Drawing:
    """Compute and draw a figure of one run, or of several side by side."""
    return picture(name, compute(name, evidences))


def mark(name: str) -> str:
    """What says inside a file that it is this figure, so that it may be replaced."""
    return f"longtail figure {name}"


__all__ = ["FIGURES", "Drawing", "Evidence", "Figure", "compute", "figure", "gather", "picture", "render"]
