"""A page of photographs in the order of a table, with a few lines under each: images to label next, suspected labels."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.data.decode import BadImage, suppress_pillow_warnings
from longtail.errors import LongtailError, check_parent_folder
from longtail.report.photographs import LARGEST, Photograph, encode_photograph

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_CARDS = 1000  # photographs on a page, about 4 MB
STYLE = """
.photos li { width: 8.5rem } .photos img { width: 8.5rem; height: 8.5rem }
.tally td, .tally th { padding-right: 1rem }
"""
TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="longtail {{ version }}">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src {{ source }}; base-uri 'none'; form-action 'none'">
<title>{{ title }}</title>
<style>{{ style }}</style></head><body><main>
<h1>{{ title | name }}</h1>
<table class="stacked">{% for name, value in overview %}
<tr><th scope="row">{{ name }}</th><td>{{ value | name }}</td></tr>{% endfor %}</table>
{% for line in notes %}<p class="quiet">{{ line }}</p>
{% endfor %}
<h2>{{ heading }}</h2>
{% if total > cards | length %}
<p class="quiet">The page shows the first {{ cards | length }} of {{ "{:,}".format(total) }}.</p>{% endif %}
<ul class="photos">{% for card in cards %}
<li>{% if card.photo.uri %}<img src="{{ card.photo.uri }}" alt="{{ card.photo.name }}" decoding="async"
{%- if card.photo.is_crisp %} class="crisp"{% endif %}>{% endif %}
<b>{{ card.title | name }}</b>{% for line in card.lines %}{{ line | name }}<br>{% endfor %}{{ card.photo.file | name }}</li>
{% endfor %}</ul>
<h2>{{ tally.title }}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="{{ tally.title }}">
<table class="tally"><thead><tr>{% for column in tally.columns %}
<th scope="col"{% if not loop.first %} class="n"{% endif %}>{{ column }}</th>{% endfor %}</tr></thead><tbody>
{% for name, group, numbers in tally.rows %}<tr><th scope="row"><b class="key {{ group }}"></b>&nbsp;{{ name | name }}</th>
{% for number in numbers %}<td class="n">{{ "{:,}".format(number) }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<p class="quiet"><b class="key many"></b> many (over 100 training images), <b class="key medium"></b> medium (20 to 100),
<b class="key few"></b> few (below 20).</p>
</main></body></html>
"""


@dataclass(frozen=True)
class Card:
    """A photograph with a title in bold and a few lines under it."""

    photo: Photograph
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Tally:
    """A table of classes: name, group of training images, and a few counts of each."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, str, tuple[int, ...]]]


def read_photographs(reads: Sequence[Callable[[], "Image"]], names: Sequence[str]) -> list[Photograph]:
    """Read images as small pictures, several at a time; an image that cannot be read has none."""

    def encode(read: Callable[[], "Image"], name: str) -> Photograph:
        try:
            return Photograph(encode_photograph(read(), LARGEST), name)
        except BadImage:  # it was there a moment ago
            return Photograph("", name)

    with suppress_pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(encode, reads, names))


def render_photo_page(
    title: str,
    overview: Sequence[tuple[str, str]],
    notes: Sequence[str],
    tally: Tally,
    heading: str,
    cards: Sequence[Card],
    total: int,
) -> str:
    """Render the page; every text is escaped, and the content security policy allows one style and embedded images."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from longtail import __version__
    from longtail.report.photographs import break_name
    from longtail.report.styles import hash_source, read_plain_style

    environment, style = Environment(autoescape=True, undefined=StrictUndefined), read_plain_style() + STYLE
    environment.filters |= {"name": break_name}
    return environment.from_string(TEMPLATE).render(
        version=__version__,
        style=Markup(style),
        source=Markup(hash_source(style)),
        title=title,
        overview=overview,
        notes=notes,
        tally=tally,
        heading=heading,
        cards=cards,
        total=total,
    )


def check_outputs(table: Path) -> Path:
    """Return the path of the page beside a new CSV table; raises LongtailError if one exists or cannot be written."""
    if table.suffix.lower() != ".csv":
        raise LongtailError(f"{table} must end in .csv; the page beside it ends in .html")
    page = table.with_suffix(".html")
    for path in (table, page):
        if os.path.lexists(path):
            raise LongtailError(f"{path} exists already and is left as it is; choose another --out")
        check_parent_folder(path)
    return page
