"""One look for all figures: colors that the color-blind tell apart on white and on black, sizes, axes over classes."""

from dataclasses import dataclass

import numpy as np

INK = "#131415"  # stands for the page's own color of text; an SVG says currentColor in its place
GROUP = {"many": "#3B7FC4", "medium": "#D99A1C", "few": "#D24B62"}
EXPERTS = ("#3B7FC4", "#D99A1C", "#2AA583", "#B05CC6", "#D24B62", "#7D8894", "#5FB0D9", "#9C7A3C")
ALL, GAP, QUIET = "#2AA583", "#D24B62", "#8A929B"  # all classes together; what is wrong; what is only a reference
MAP = "viridis"
APART = 40  # so many classes at most have a bar each

RC = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a class may be named "$5"
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.alpha": 0.18,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.1,
    "legend.handletextpad": 0.5,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), INK
    ),
    **dict.fromkeys(("grid.color", "patch.edgecolor", "legend.labelcolor"), INK),
}


@dataclass(frozen=True)
class Panels:
    """The axes of one run: how many, beside or above each other, their relative sizes, and the whole's inches."""

    size: tuple[float, float]
    widths: tuple[float, ...] = (1,)
    heights: tuple[float, ...] = (1,)
    share_x: bool = False


def set_class_axis(ax, names: np.ndarray) -> None:
    """An x axis over the classes in their given order: every name where they fit, their rank where not."""
    classes, names = len(names), [shorten(name) for name in names]
    ax.set_xlim(-0.6, classes - 0.4)
    longest = max(map(len, names))
    if classes * min(max(longest, 3), 14) <= 90 or (classes <= 24 and longest <= 18):
        turned = classes * longest > 90
        ax.set_xticks(range(classes), names, rotation=40 if turned else 0, ha="right" if turned else "center")
        ax.set_xlabel("class, by training images")
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("rank of the class by training images")


def shorten(name: str) -> str:
    """A class's name in at most 16 letters."""
    return name if len(name) <= 16 else name[:15] + "…"


def moving_mean(values: np.ndarray, half: int) -> np.ndarray:
    """Mean over each value and so many on either side, as far as there are, leaving nan out: (C,) -> (C,)."""
    filled, there = np.nan_to_num(values), (~np.isnan(values)).astype(float)
    sums = np.concatenate([[0], filled.cumsum()]), np.concatenate([[0], there.cumsum()])
    high, low = np.minimum(np.arange(len(values)) + half + 1, len(values)), np.maximum(np.arange(len(values)) - half, 0)
    total, number = (s[high] - s[low] for s in sums)
    return np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0)


def draw_group_bands(ax, groups: np.ndarray, named: bool = False) -> None:
    """A tinted band behind each group of classes that are sorted by training images; `named` puts them into the legend."""
    for name, color in GROUP.items():
        where = np.flatnonzero(groups == name)
        if len(where):
            ax.axvspan(where[0] - 0.5, where[-1] + 0.5, color=color, alpha=0.1, linewidth=0)
            if named:
                ax.plot([], [], "s", color=color, label=name)


def set_log_axis(axis) -> None:
    """A logarithmic axis with plain numbers: 1, 10, 100."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axis.set_minor_formatter(lambda value, _: "")


def draw_columns(ax, values: np.ndarray, groups: np.ndarray) -> None:
    """A bar for each class in the color of its group; where there are many classes, one outline for each group."""
    for name, color in GROUP.items():
        where = np.flatnonzero(groups == name)
        if len(where) and len(groups) <= APART:
            ax.bar(where, values[where], 0.66, color=color, linewidth=0)
        elif len(where):
            edges = np.repeat(np.arange(where[0], where[-1] + 2) - 0.5, 2)[1:-1]
            ax.fill_between(edges, np.repeat(values[where], 2), color=color, linewidth=0)


def add_legend_above(ax, columns: int = 4, **options) -> None:
    """A legend over the axes, where it hides nothing."""
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, borderaxespad=0.2, **options)


def draw_placeholder(ax, why: str) -> None:
    """Say in an empty picture why it is empty."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, why, ha="center", va="center", transform=ax.transAxes, wrap=True)


def format_percent(value: float) -> str:
    """61.3 %, or n/a for a number that is not there."""
    return "n/a" if value is None or np.isnan(value) else f"{value:.1f} %"


def nanmean(values: np.ndarray) -> float:
    """Mean of the numbers that are not nan; nan, without a warning, if there are none."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
