"""Prediction sets on the test images: how often they hold the class, by group, and how large they are."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import ALL, GROUP, INK, Panels
from longtail.inference.calibration import Priors

LAYOUT = Panels(size=(5.4, 2.9), widths=(1.3, 1))


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the coverage in percent and the mean size of the sets for all images and for those of each group.

    Returns name, images, coverage and size, (4,) each, nan in a group without test images, and the coverage asked for.
    """
    z, labels, calibration = outputs.logits.mean(0), outputs.labels, outputs.calibration
    sets = calibration.sets(z, Priors.from_method(outputs.method), z.argmax(-1))
    is_in = sets.gather(1, labels.unsqueeze(1)).squeeze(1).double().numpy()
    sizes, group = sets.sum(-1).double().numpy(), np.array(outputs.groups)[labels.numpy()]
    rows = [np.ones(len(labels), dtype=bool), *(group == name for name in GROUP)]
    return {
        "name": np.array(["all", *GROUP]),
        "images": np.array([row.sum() for row in rows]),
        "coverage": np.array([100 * is_in[row].mean() if row.any() else np.nan for row in rows]),
        "size": np.array([sizes[row].mean() if row.any() else np.nan for row in rows]),
        "asked": np.array(100 * calibration.options.coverage),
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a bar for each group: coverage with a line where it was asked to be, and the mean size of a set beside it."""
    there = ~np.isnan(arrays["coverage"])
    names, colors = arrays["name"][there], [{"all": ALL, **GROUP}[name] for name in arrays["name"][there]]
    for ax, key, decimals in zip(axes, ("coverage", "size"), (1, 2), strict=True):
        values = arrays[key][there]
        bars = ax.barh(range(len(names)), values, 0.62, color=colors, linewidth=0)
        ax.bar_label(bars, [f"{value:.{decimals}f}" for value in values], padding=3, fontsize=8)
        ax.set_yticks(range(len(names)), names if key == "coverage" else [""] * len(names))
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.grid(axis="x")
        ax.grid(False, axis="y")
    left, right = axes
    left.axvline(float(arrays["asked"]), color=INK, linewidth=1, linestyle="--")
    left.set(xlim=(0, 118), xlabel=f"images whose set holds their class (%); asked {arrays['asked']:g}")
    left.set_xticks(range(0, 101, 20))
    right.set(xlim=(0, 1.25 * np.nanmax(arrays["size"])), xlabel="classes in a set, mean")


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe coverage and size of all images and of each group."""
    rows = zip(arrays["name"], arrays["coverage"], arrays["size"], strict=True)
    parts = [
        f"{name} {coverage:.1f} % at {size:.2f} classes" for name, coverage, size in rows if not np.isnan(coverage)
    ]
    return f"Asked: {arrays['asked']:g} %. Share of test images whose set holds their class: {', '.join(parts)}."
