"""A page for each scale of the measurements, from the ledger in results/ledger."""

from itertools import product

from docs.generate.methods import LEDGER
from longtail.reproduce.cells import PRECISIONS, format_scale
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.page import render_scale
from longtail.reproduce.tables import SCALES

ROOT = LEDGER.parents[1]


def render_scales() -> dict[str, str]:
    """Return the text of each page by its name, of the scales where something was measured."""
    pages = {
        f"scale-{format_scale(scale, precision)}.md": render_scale(scale, precision, Ledger(LEDGER)).replace(
            f"{ROOT}/", ""
        )
        for scale, precision in product(SCALES, PRECISIONS)
    }
    return {name: text for name, text in pages.items() if text}
