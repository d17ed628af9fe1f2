"""Table of contents: every figure of the paper and of a run, one file and one line each."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from longtail.analysis import store
from longtail.analysis.outputs import RunOutputs, load_runs
from longtail.analysis.picture import Arrays, Drawing, describe_panels, render_bytes
from longtail.analysis.store import load_stored_figure
from longtail.errors import LongtailError, expand_path, unknown_name


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
        "Loss and accuracy along five random filter-normalized directions away from the trained weights.",
        cost="slow",
    ),
}


def get_figure(name: str) -> Figure:
    """A figure by name; raises LongtailError for an unknown one."""
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    return FIGURES[name]


def compute_panels(name: str, runs: Sequence[RunOutputs]) -> dict[str, Arrays]:
    """The arrays of each panel by its label: a panel for each run, or one for all where the figure is drawn of many.

    Raises LongtailError for runs of one label.
    """
    module = get_figure(name).module
    if get_figure(name).runs == "many":
        return {"": module.compute(module.points(runs))}
    labels = [outputs.label for outputs in runs]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise LongtailError(f"two runs are called {twice[0]}; a picture of several needs a label for each")
    return {outputs.label: module.compute(outputs) for outputs in runs}


def render_panels(name: str, panels: dict[str, Arrays]) -> Drawing:
    """The drawing of arrays that `compute` returned, or that a ledger keeps."""
    module = get_figure(name).module
    return Drawing(render_bytes(module, panels, "svg", figure_mark(name)).decode(), describe_panels(module, panels))


def render_figure(name: str, runs: Sequence[RunOutputs]) -> Drawing:
    """Compute and draw a figure of one run, or of several side by side."""
    return render_panels(name, compute_panels(name, runs))


def save_figure(name: str, runs: Sequence[RunOutputs], path: str | Path) -> str:
    """Compute a figure, write it as svg, png or pdf with its numbers beside it (csv or npz), and return its words.

    Raises LongtailError if another file is in the way.
    """
    path, module = expand_path(path), get_figure(name).module
    store.check_target(path, figure_mark(name))
    panels = compute_panels(name, runs)
    store.write_figure(module, panels, path, figure_mark(name))
    return describe_panels(module, panels)


def draw_figure(name: str, runs: Sequence[str | Path], out: str | Path | None = None) -> tuple[Path, str]:
    """Draw a figure of run folders into the file `out`, or into `figures/` of the first; returns the path and its words.

    Raises LongtailError for an unknown figure, unfinished runs, runs of different data, and a file that is in the way.
    """
    get_figure(name)
    if not runs:
        raise LongtailError(f"figure {name} of which run? longtail figure {name} RUN")
    runs = load_runs(runs)
    if out is None:
        compared = len(runs) > 1 and get_figure(name).runs == "one"  # a report takes in only what is of its run alone
        folder = store.make_figure_folder(runs[0].run)
        out = folder / (f"{name}-compared.svg" if compared else f"{name}.svg")
    return expand_path(out), save_figure(name, runs, out)


def figure_mark(name: str) -> str:
    """What says inside a file that it is this figure, so that it may be replaced."""
    return f"longtail figure {name}"


__all__ = [
    "FIGURES",
    "Drawing",
    "Figure",
    "RunOutputs",
    "compute_panels",
    "draw_figure",
    "get_figure",
    "load_runs",
    "load_stored_figure",
    "render_figure",
    "render_panels",
    "save_figure",
]
