"""From arrays to a picture: a panel for each run, and an SVG that any page can take in."""

import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from types import ModuleType
from xml.sax.saxutils import quoteattr

import numpy as np

from longtail.analysis.style import INK, RC, Panels

MAX_ROW_INCHES = 10.4  # inches of a row of panels
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Drawing:
    """A self-contained SVG, and in words what it shows."""

    svg: str
    alt: str


def render_bytes(figure: ModuleType, panels: dict[str, Arrays], kind: str, mark: str) -> bytes:
    """The picture of one or several labelled panels as svg, png or pdf, marked as `mark`; the same for the same input."""
    import matplotlib

    content = io.BytesIO()
    about = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": mark},
        "pdf": {"Creator": mark, "CreationDate": None},
    }
    page = {} if kind == "svg" else {"facecolor": "white"}
    with matplotlib.rc_context(RC | {"svg.hashsalt": mark}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the viewer of an SVG brings its own fonts
        build_figure(figure, panels).savefig(content, format=kind, metadata=about[kind], dpi=160, **page)
    if kind != "svg":
        return content.getvalue()
    return clean_svg(content.getvalue().decode(), describe_panels(figure, panels), mark).encode()


def describe_panels(figure: ModuleType, panels: dict[str, Arrays]) -> str:
    """What the panels show, in words."""
    if len(panels) == 1:
        return figure.describe(*panels.values())
    return " ".join(f"{label}: {figure.describe(arrays)}" for label, arrays in panels.items())


def build_figure(figure: ModuleType, panels: dict[str, Arrays]):
    """A matplotlib figure with the panels in rows, those of a row as wide as a page at most."""
    from matplotlib.figure import Figure

    layout: Panels = figure.LAYOUT
    columns = min(len(panels), max(1, int(MAX_ROW_INCHES / layout.size[0])))
    rows = -(-len(panels) // columns)
    title = 0.25 if len(panels) > 1 else 0
    whole = Figure(figsize=(columns * layout.size[0], rows * (layout.size[1] + title)), layout="constrained")
    places = whole.subfigures(rows, columns, squeeze=False).ravel()
    drawn = []
    for place, (label, arrays) in zip(places, panels.items(), strict=False):
        drawn.append(build_axes(place, layout))
        figure.draw(drawn[-1], arrays)
        if title:
            place.suptitle(label, fontweight="bold")
    for alike in zip(*drawn, strict=True):
        share_y_range(alike)
    return whole


def build_axes(place, layout: Panels) -> list:
    """The axes of one panel."""
    grid = place.subplots(
        len(layout.heights), len(layout.widths), width_ratios=layout.widths, height_ratios=layout.heights,
        sharex=layout.share_x, squeeze=False,
    )  # fmt: skip
    return list(grid.ravel())


def share_y_range(axes: tuple) -> None:
    """Give the same axes of several panels one range of y, so that they can be compared by eye."""
    low, high = zip(*(ax.get_ylim() for ax in axes), strict=True)
    upward = low[0] < high[0]
    for ax in axes:
        ax.set_ylim((min(low), max(high)) if upward else (max(low), min(high)))


def clean_svg(svg: str, alt: str, mark: str) -> str:
    """The SVG without doctype and metadata, its ink the page's, its ids unlike those of any other picture."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"<style.*?</style>\s*", "", svg, flags=re.S)  # it would rule the whole page
    svg = re.sub(r' (d|x|y)="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), svg)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", svg)
    own = "f" + hashlib.sha256(f"{mark}{svg}".encode()).hexdigest()[:8]
    used = set(re.findall(r"[(\"]#([\w-]+)[)\"]", svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{own}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r"([(\"])#([\w-]+)([)\"])", rf"\1#{own}-\2\3", svg)
    head = f'role="img" aria-label={quoteattr(alt)} data-of={quoteattr(mark)} stroke-linejoin="round"'
    return svg.replace("<svg ", f"<svg {head} ", 1)
