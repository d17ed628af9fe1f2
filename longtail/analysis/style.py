"""The common style of all figures: colors that the color-blind tell apart on white and on black, sizes, class axes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

INK = "#131415"  # replaced by currentColor in an SVG, so that a dark page has light text
GROUP = {"many": "#3B7FC4", "medium": "#D99A1C", "few": "#D24B62"}
EXPERTS = ("#3B7FC4", "#D99A1C", "#2AA583", "#B05CC6", "#D24B62", "#7D8894", "#5FB0D9", "#9C7A3C")
ALL, GAP, QUIET = "#2AA583", "#D24B62", "#8A929B"  # all classes together; gaps and losses; reference lines
MAP = "viridis"
APART = 40  # the most classes that are drawn as separate bars

RC: dict[Any, Any] = {
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
    """The grid of axes of one run: its size in inches, relative widths and heights, and whether x is shared."""

    size: tuple[float, float]
    widths: tuple[float, ...] = (1,)
    heights: tuple[float, ...] = (1,)
    share_x: bool = False


def set_class_axis(ax, names: np.ndarray) -> None:
    """Set an x axis over the classes in their given order: their names where all fit, else their ranks."""
    classes, labels = len(names), [shorten(name) for name in names]
    ax.set_xlim(-0.6, classes - 0.4)
    longest = max(map(len, labels))
    # the widest figure has room for about 90 letters side by side, or 24 rotated names
    if classes * min(max(longest, 3), 14) <= 90 or (classes <= 24 and longest <= 18):
        is_rotated = classes * longest > 90
        alignment = "right" if is_rotated else "center"
        ax.set_xticks(range(classes), labels, rotation=40 if is_rotated else 0, ha=alignment)
        ax.set_xlabel("class, by training images")
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlabel("rank of the class by training images")


def shorten(name: str) -> str:
    """Shorten the name of a class to 16 letters."""
    return name if len(name) <= 16 else name[:15] + "…"


def moving_mean(values: np.ndarray, half: int) -> np.ndarray:
    """Compute the mean over a window of `half` values on either side, without nan: (C,) -> (C,)."""
    filled, is_number = np.nan_to_num(values), (~np.isnan(values)).astype(float)
    sums = np.concatenate([[0], filled.cumsum()]), np.concatenate([[0], is_number.cumsum()])
    high, low = np.minimum(np.arange(len(values)) + half + 1, len(values)), np.maximum(np.arange(len(values)) - half, 0)
    total, number = (s[high] - s[low] for s in sums)
    return np.divide(total, number, out=np.full(len(values), np.nan), where=number > 0)


def draw_group_bands(ax, groups: np.ndarray, named: bool = False) -> None:
    """Draw a tinted band behind each group of sorted classes; `named` adds the groups to the legend."""
    for name, color in GROUP.items():
        members = np.flatnonzero(groups == name)
        if len(members):
            ax.axvspan(members[0] - 0.5, members[-1] + 0.5, color=color, alpha=0.1, linewidth=0)
            if named:
                ax.plot([], [], "s", color=color, label=name)


def set_log_axis(axis) -> None:
    """Set a logarithmic scale with plain numbers: 1, 10, 100."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axis.set_minor_formatter(lambda value, _: "")


def draw_columns(ax, values: np.ndarray, groups: np.ndarray) -> None:
    """Draw a bar for each class in the color of its group, or one filled outline a group above 40 classes."""
    for name, color in GROUP.items():
        members = np.flatnonzero(groups == name)
        if len(members) and len(groups) <= APART:
            ax.bar(members, values[members], 0.66, color=color, linewidth=0)
        elif len(members):
            edges = np.repeat(np.arange(members[0], members[-1] + 2) - 0.5, 2)[1:-1]
            ax.fill_between(edges, np.repeat(values[members], 2), color=color, linewidth=0)


def add_legend_above(ax, columns: int = 4, **options) -> None:
    """Add a legend above the axes, where it hides nothing."""
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, borderaxespad=0.2, **options)


def draw_placeholder(ax, reason: str) -> None:
    """Write into empty axes the reason why nothing is drawn."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, reason, ha="center", va="center", transform=ax.transAxes, wrap=True)


def format_percent(value: float | None) -> str:
    """Format a percentage as "61.3 %", None and nan as "n/a"."""
    return "n/a" if value is None or np.isnan(value) else f"{value:.1f} %"


def nanmean(values: np.ndarray) -> float:
    """Compute the mean without nan; nan, without a warning, if no number is left."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
