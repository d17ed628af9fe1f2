"""Pictures of arrays: a panel for each run, and SVG that any page can embed."""

import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from types import ModuleType
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from longtail.analysis.style import INK, RC, Panels

MAX_ROW_INCHES = 10.4  # width of a row of panels
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Drawing:
    """A self-contained SVG and a description of it in words."""

    svg: str
    alt: str


def render_bytes(figure: ModuleType, panels: dict[str, Arrays], kind: str, mark: str) -> bytes:
    """Render labelled panels as svg, png or pdf with `mark` inside; equal input gives equal bytes."""
    import matplotlib

    content = io.BytesIO()
    metadata = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": mark},
        "pdf": {"Creator": mark, "CreationDate": None},
    }
    background = {} if kind == "svg" else {"facecolor": "white"}
    with matplotlib.rc_context(RC | {"svg.hashsalt": mark}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the viewer of an SVG brings its own fonts
        build_figure(figure, panels).savefig(content, format=kind, metadata=metadata[kind], dpi=160, **background)
    if kind != "svg":
        return content.getvalue()
    return clean_svg(content.getvalue().decode(), describe_panels(figure, panels), mark).encode()


def describe_panels(figure: ModuleType, panels: dict[str, Arrays]) -> str:
    """Describe in words what the panels show."""
    if len(panels) == 1:
        return figure.describe(*panels.values())
    return " ".join(f"{label}: {figure.describe(arrays)}" for label, arrays in panels.items())


def build_figure(figure: ModuleType, panels: dict[str, Arrays]):
    """Build a matplotlib figure with the panels in rows that are at most as wide as a page."""
    layout: Panels = figure.LAYOUT
    columns = min(len(panels), max(1, int(MAX_ROW_INCHES / layout.size[0])))
    rows = -(-len(panels) // columns)
    title = 0.25 if len(panels) > 1 else 0
    page = make_figure(columns * layout.size[0], rows * (layout.size[1] + title))
    subfigures = page.subfigures(rows, columns, squeeze=False).ravel()
    axes = []
    for subfigure, (label, arrays) in zip(subfigures, panels.items(), strict=False):
        axes.append(build_axes(subfigure, layout))
        figure.draw(axes[-1], arrays)
        if title:
            subfigure.suptitle(label, fontweight="bold")
    for corresponding in zip(*axes, strict=True):
        share_y_range(corresponding)
    return page


def make_figure(width: float, height: float):
    """Make an empty matplotlib figure in inches that `savefig` draws once."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    class DrawnOnce(Figure):
        """A figure that skips the drawing where `savefig` only wants the layout; the output has the same bytes."""

        def draw(self, renderer):
            engine = self.get_layout_engine()
            if isinstance(engine, ConstrainedLayoutEngine):  # removed by `savefig` before the second call
                engine.execute(self)
            else:
                super().draw(renderer)

    return DrawnOnce(figsize=(width, height), layout="constrained")


def build_axes(subfigure, layout: Panels) -> list:
    """Build the axes of one panel, row by row."""
    grid = subfigure.subplots(
        len(layout.heights), len(layout.widths), width_ratios=layout.widths, height_ratios=layout.heights,
        sharex=layout.share_x, squeeze=False,
    )  # fmt: skip
    return list(grid.ravel())


def share_y_range(axes: tuple) -> None:
    """Set one y range for the corresponding axes of all panels, so that a reader can compare them."""
    low, high = zip(*(ax.get_ylim() for ax in axes), strict=True)
    is_upward = low[0] < high[0]
    for ax in axes:
        ax.set_ylim((min(low), max(high)) if is_upward else (max(low), min(high)))


def clean_svg(svg: str, alt: str, mark: str) -> str:
    """Remove doctype, metadata and styles from an SVG, take the page's text color and font, and make ids unique."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"<style.*?</style>\s*", "", svg, flags=re.S)  # a style element would apply to the whole page
    # two decimals of a point are enough, and halve the size
    svg = re.sub(r' (d|x|y)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), svg)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r"font-family: [^;\"<]*", "font-family: system-ui, sans-serif", svg)
    # ids must differ between pictures on one page; unused ids are removed
    prefix = "f" + hashlib.sha256(f"{mark}{svg}".encode()).hexdigest()[:8]
    used = set(re.findall(r"[(\"]#([\w-]+)[)\"]", svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r"([(\"])#([\w-]+)([)\"])", rf"\1#{prefix}-\2\3", svg)
    described = escape(alt, {'"': "&quot;", "\n": "&#10;"})  # in double quotes, as `load_stored_figure` finds it
    head = f'role="img" aria-label="{described}" data-of={quoteattr(mark)} stroke-linejoin="round"'
    return svg.replace("<svg ", f"<svg {head} ", 1)
