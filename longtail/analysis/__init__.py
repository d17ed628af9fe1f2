"""The figures of the ECL paper and of a run: one module and one entry of `FIGURES` each."""

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
    """A figure: its module, title, number in the paper (or ""), caption, cost (fast or slow), and runs (one or many).

    `experts` is the smallest number of experts with something to show; `single` is title and caption for one network,
    where they differ. A figure that is `calibrated` needs a calibrated run.
    """

    module_name: str
    title: str
    paper: str
    caption: str
    cost: str = "fast"
    runs: str = "one"
    experts: int = 1
    single: tuple[str, str] | None = None
    calibrated: bool = False

    @property
    def module(self) -> ModuleType:
        """Import the module of the figure: LAYOUT, compute -> arrays, draw(axes, arrays), describe(arrays) -> str."""
        return import_module(f"longtail.analysis.{self.module_name}")


FIGURES = {
    "accuracy": Figure(
        "accuracy",
        "Accuracy by class",
        "",
        "Test accuracy of each class. Classes are sorted by training images, the largest first.",
    ),
    "curves": Figure(
        "curves",
        "Training curves",
        "",
        "Weighted loss terms on the training images, and test accuracy at the epochs that were tested.",
    ),
    "reliability": Figure(
        "reliability",
        "Reliability diagram",
        "9",
        "Accuracy against confidence in 15 bins. A calibrated model follows the diagonal.",
    ),
    "recalibration": Figure(
        "recalibration",
        "Reliability before and after",
        "",
        "Accuracy against confidence in 15 bins, as trained and with the temperature of the calibration.",
        calibrated=True,
    ),
    "sets": Figure(
        "sets",
        "Prediction sets by group",
        "",
        "Share of test images whose set holds their class, against the share that was asked for, and mean size of the sets.",
        calibrated=True,
    ),
    "risk": Figure(
        "risk",
        "Risk against coverage",
        "",
        "Errors among the images that are answered, if only the most confident ones are.",
        calibrated=True,
    ),
    "confusion": Figure(
        "confusion",
        "Confusion matrix",
        "10",
        "Test images by true and predicted class, on a logarithmic scale. Classes are sorted by training images.",
    ),
    "transfer": Figure(
        "transfer",
        "Knowledge transfer",
        "2",
        "Mean probability that the teachers give each class, and how often they predict the class.",
        single=(
            "Bias between classes",
            "Mean probability that the network gives each class, and how often it predicts the class.",
        ),
    ),
    "distance": Figure(
        "distance",
        "Distance between experts",
        "7",
        "Mean distance between the features that two experts compute for the test images of a class (Eq. 12).",
        experts=2,
    ),
    "tau": Figure(
        "tau",
        "Post-hoc logit adjustment",
        "",
        "Test accuracy after tau times the log prior is subtracted from the logits (Eq. 4).",
    ),
    "expert-tau": Figure(
        "expert_tau",
        "Logit adjustment of single experts",
        "",
        "Test accuracy of each expert after tau times the log prior is subtracted; tau = 0 has the training prior (Sec. IV).",
        experts=2,
    ),
    "experts": Figure(
        "experts",
        "Number of experts",
        "4",
        "Accuracy of single experts and the ensemble against their number: mean and standard deviation over seeds.",
        runs="many",
    ),
    "sweep": Figure(
        "sweep",
        "Loss weights",
        "5",
        "Accuracy against alpha and beta (Eq. 11): mean and standard deviation over seeds.",
        runs="many",
    ),
    "embedding": Figure(
        "embedding",
        "Feature embedding",
        "6",
        "t-SNE of the test features of all classes or, of more than twelve, up to four of each group.",
        cost="slow",
    ),
    "landscape": Figure(
        "landscape",
        "Loss landscape",
        "8",
        "Loss and accuracy along five random filter-normalized directions away from the trained weights.",
        cost="slow",
    ),
}


def get_figure(name: str) -> Figure:
    """Return a figure by name; raises LongtailError for an unknown name."""
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    return FIGURES[name]


def compute_panels(name: str, runs: Sequence[RunOutputs]) -> dict[str, Arrays]:
    """Compute the arrays of each panel by label: one panel a run, or one for all runs where the figure takes many.

    Raises LongtailError if two runs have the same label.
    """
    module = get_figure(name).module
    if get_figure(name).runs == "many":
        return {"": module.compute(module.collect_points(runs))}
    labels = [outputs.label for outputs in runs]
    if repeated := [label for label in labels if labels.count(label) > 1]:
        raise LongtailError(f"two runs are called {repeated[0]}; a figure of several runs needs a label for each")
    return {outputs.label: module.compute(outputs) for outputs in runs}


def render_panels(name: str, panels: dict[str, Arrays]) -> Drawing:
    """Draw panels of arrays as `compute` returns them."""
    module = get_figure(name).module
    svg = render_bytes(module, panels, "svg", format_figure_mark(name)).decode()
    return Drawing(svg, describe_panels(module, panels))


def render_figure(name: str, runs: Sequence[RunOutputs]) -> Drawing:
    """Compute and draw a figure of one run, or of several side by side."""
    return render_panels(name, compute_panels(name, runs))


def save_figure(name: str, runs: Sequence[RunOutputs], path: str | Path) -> str:
    """Compute a figure, write a picture (svg, png, pdf) and its numbers (csv, npz), and return a description in words.

    Raises LongtailError if the path holds a file that is not this figure.
    """
    path, module, mark = expand_path(path), get_figure(name).module, format_figure_mark(name)
    store.check_target(path, mark)
    panels = compute_panels(name, runs)
    store.write_figure(module, panels, path, mark)
    return describe_panels(module, panels)


def draw_figure(name: str, runs: Sequence[str | Path], out: str | Path | None = None) -> tuple[Path, str]:
    """Draw a figure of run folders into the file `out`, by default into `figures/` of the first run.

    Returns the path and a description in words. Raises LongtailError for an unknown figure, an unfinished run, runs of
    different data, and a path that holds another file.
    """
    get_figure(name)
    if not runs:
        raise LongtailError(f"figure {name} needs a run: longtail figure {name} RUN")
    outputs = load_runs(runs)
    if out is None:
        # `figures/NAME.svg` becomes part of the run's report, so a comparison with other runs has another name
        is_comparison = len(runs) > 1 and get_figure(name).runs == "one"
        folder = store.make_figure_folder(outputs[0].run)
        out = folder / (f"{name}-compared.svg" if is_comparison else f"{name}.svg")
    return expand_path(out), save_figure(name, outputs, out)


def format_figure_mark(name: str) -> str:
    """Return the text inside a file that marks the file as this figure, which may then be replaced."""
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
