"""Table of contents: every figure of the paper and of a run, one file and one line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from longtail.analysis import store
from longtail.analysis.evidence import Evidence, gather
from longtail.analysis.picture import Arrays, Drawing, describe, to_bytes
from longtail.analysis.store import stored
from longtail.errors import LongtailError, expanded, unknown


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
    "confusion": Figure(
        "confusion",
        "Confusion",
        "10",
        "Test images by true and predicted class, on a logarithmic scale, classes by training images.",
    ),
    "transfer": Figure(
        "transfer",
        "Knowledge passed on",
        "2",
        "Mean probability that the teachers give each class, and how often they predict it.",
    ),
    "distance": Figure(
        "distance",
        "Distance between experts",
        "7",
        "Mean distance between two experts' features of a class's test images (Eq. 12).",
    ),
    "tau": Figure(
        "tau",
        "Adjustment after training",
        "",
        "Accuracy if the logits are moved by tau times the log prior after training (Eq. 4).",
    ),
    "experts": Figure(
        "experts",
        "Number of experts",
        "4",
        "Accuracy against the number of experts, mean and deviation over seeds.",
        runs="many",
    ),
    "sweep": Figure(
        "sweep",
        "Weights of the losses",
        "5",
        "Accuracy against alpha and beta (Eq. 11), mean and deviation over seeds.",
        runs="many",
    ),
    "embedding": Figure(
        "embedding", "Features", "6", "t-SNE of the test features of a few classes of each group.", cost="slow"
    ),
    "landscape": Figure(
        "landscape",
        "Landscape of the loss",
        "8",
        "Loss and accuracy along five random filter-normalised directions away from the trained weights.",
        cost="slow",
    ),
}


def figure(name: str) -> Figure:
    """A figure by name; raises LongtailError for an unknown one."""
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES)
    return FIGURES[name]


def compute(name: str, evidences: Sequence[Evidence]) -> dict[str, Arrays]:
    """The arrays of each panel by its label: a panel for each run, or one for all where the figure is drawn of many.

    Raises LongtailError for runs of one label.
    """
    module = figure(name).module
    if figure(name).runs == "many":
        return {"": module.compute(module.points(evidences))}
    labels = [evidence.label for evidence in evidences]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise LongtailError(f"two runs are called {twice[0]}; a picture of several needs a label for each")
    return {evidence.label: module.compute(evidence) for evidence in evidences}


def picture(name: str, panels: dict[str, Arrays]) -> Drawing:
    """The drawing of arrays that `compute` returned, or that a ledger keeps."""
    module = figure(name).module
    return Drawing(to_bytes(module, panels, "svg", mark(name)).decode(), describe(module, panels))


def render(name: str, evidences: Sequence[Evidence]) -> Drawing:
    """Compute and draw a figure of one run, or of several side by side."""
    return picture(name, compute(name, evidences))


def save(name: str, evidences: Sequence[Evidence], path: str | Path) -> str:
    """Compute a figure, write it as svg, png or pdf with its numbers beside it (csv or npz), and return its words.

    Raises LongtailError if another file is in the way.
    """
    path, module = expanded(path), figure(name).module
    store.check_place(path, mark(name))
    panels = compute(name, evidences)
    store.write(module, panels, path, mark(name))
    return describe(module, panels)


def draw(name: str, runs: Sequence[str | Path], out: str | Path | None = None) -> tuple[Path, str]:
    """Draw a figure of run folders into the file `out`, or into `figures/` of the first; returns the path and its words.

    Raises LongtailError for an unknown figure, unfinished runs, runs of different data, and a file that is in the way.
    """
    figure(name)
    if not runs:
        raise LongtailError(f"figure {name} of which run? longtail figure {name} RUN")
    evidences = gather(runs)
    if out is None:
        compared = len(runs) > 1 and figure(name).runs == "one"  # a report takes in only what is of its run alone
        folder = store.folder_of(evidences[0].run)
        out = folder / (f"{name}-compared.svg" if compared else f"{name}.svg")
    return expanded(out), save(name, evidences, out)


def mark(name: str) -> str:
    """What says inside a file that it is this figure, so that it may be replaced."""
    return f"longtail figure {name}"


__all__ = [
    "FIGURES",
    "Drawing",
    "Evidence",
    "Figure",
    "compute",
    "draw",
    "figure",
    "gather",
    "picture",
    "render",
    "save",
    "stored",
]
