"""The page of `longtail inspect`: one HTML file for light and dark, without scripts and external links."""

import hashlib
import math
import os
from collections.abc import Sequence
from functools import partial

from longtail.data.catalog import hide_folders, is_path
from longtail.inspection.facts import Facts
from longtail.inspection.near_page import STYLE as NEAR_STYLE
from longtail.inspection.near_page import render_near
from longtail.inspection.photographs import MAX_PICTURED, PHOTOGRAPHS, pick_photographs
from longtail.inspection.suggestions import Suggestion
from longtail.inspection.summary import build_overview, list_faults
from longtail.metrics.names import GROUPS

PAGE = "<!-- written by longtail inspect"  # marks a file that may be replaced
WIDTH, HEIGHT, MARGIN = 640, 180, 52
MAX_CLASSES = 2000  # rows of the class table, which begins with the smallest classes

TEMPLATE = """<!doctype html>
{{ mark }}
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src {{ source }}; base-uri 'none'; form-action 'none'">
<title>{{ facts.name }}: inspection</title>
<style>{{ style }}</style></head><body><main>
<h1>{{ facts.name | name }}</h1>
<table class="stacked">{% for name, value in overview %}
<tr><th scope="row">{{ name }}</th><td>{{ value | hidden | name }}</td></tr>{% endfor %}</table>
<h2>Training images of each class</h2>
<figure>{{ histogram }}<figcaption>Classes sorted by training images, on a logarithmic scale.
<b class="key many"></b> many (over 100), <b class="key medium"></b> medium (20 to 100),
<b class="key few"></b> few (below 20).</figcaption></figure>
<h2>Advice</h2><ul>{% for line in advice %}<li>
{%- for piece in (line | hidden).split("`") -%}
{% if loop.index0 % 2 %}<code>{{ piece }}</code>{% else %}{{ piece }}{% endif %}{% endfor -%}
</li>{% endfor %}</ul>
{% if suggestions %}<h2>Commands</h2>
<table class="stacked">
<thead><tr><th scope="col">run</th><th scope="col">command</th><th scope="col">on this machine, about</th></tr></thead>
<tbody>{% for row in suggestions %}<tr><th scope="row">{{ row.name }}</th>
<td class="list"><code>{% for word in (row.command | hidden).split(" ") %}<span>{{ word | name }}</span> {% endfor %}</code></td>
<td>{{ row.cost | hidden }}</td></tr>{% endfor %}</tbody></table>{% endif %}
{% for title, total, lines in faults %}<h2>{{ title }}: {{ "{:,}".format(total) }}</h2>
<ul class="list">{% for line in lines %}<li>{{ line | hidden | name }}</li>{% endfor %}</ul>
{% if total > lines | length %}<p class="quiet">The list shows the first {{ lines | length }}.</p>{% endif %}{% endfor %}
{{ near }}
<h2>Classes</h2>
{% if shown < facts.classes | length %}<p class="quiet">The table shows the {{ shown }} smallest classes.</p>{% endif %}
<div class="scroll" tabindex="0" role="region" aria-label="Classes">
<table><thead><tr><th scope="col">class</th><th scope="col">group</th>
{% for subset in facts.counts %}<th scope="col" class="n">{{ subset }}</th>{% endfor %}</tr></thead><tbody>
{% for name, group, counts in classes %}<tr><td>{{ name | name }}</td><td class="t">{{ group }}</td>
{% for count in counts %}<td class="n">{{ "{:,}".format(count) if count or loop.first else "n/a" }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<h2>Photographs</h2>
<p class="quiet">Up to {{ most }} training images of each class{% if kinds | length < facts.classes | length %},
for the {{ kinds | length }} smallest classes{% endif %}.</p>
<div class="kinds">{% for kind in kinds %}
<section><h3>{{ kind.name | name }} <span class="quiet">{{ "{:,}".format(kind.images) }}</span></h3>
<ul class="photos">{% for photo in kind.photographs %}
<li><img src="{{ photo.uri }}" alt="{{ photo.name }}" decoding="async"{% if photo.is_crisp %} class="crisp"{% endif %}>
{{- photo.file | name }}</li>{% endfor %}</ul></section>{% endfor %}</div>
</main></body></html>
"""


def format_page_mark(data: str) -> str:
    """Return the comment that identifies the data of a page by a hash of the name or absolute path."""
    name = os.path.realpath(data) if is_path(data) else data
    return f"{PAGE}, data {hashlib.sha256(os.fsencode(name)).hexdigest()[:16]} -->"


def render_page(facts: Facts, advice: list[str], suggestions: Sequence[Suggestion] = ()) -> str:
    """Render the page, with the commands that train on custom data.

    Every text that comes from the data is escaped, and the content security policy allows one style and embedded images.
    No text says where the folder of the data lies.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    from longtail.report.photographs import break_name
    from longtail.report.styles import hash_source, read_plain_style

    order = sorted(range(len(facts.classes)), key=lambda c: facts.classes.counts[c])[:MAX_CLASSES]
    groups = facts.classes.groups
    classes = [(facts.classes.names[c], groups[c], [counts[c] for counts in facts.counts.values()]) for c in order]
    environment, style = Environment(autoescape=True), read_plain_style() + NEAR_STYLE
    environment.filters |= {"name": break_name, "hidden": partial(hide_folders, data=facts.data)}
    return environment.from_string(TEMPLATE).render(
        mark=Markup(format_page_mark(facts.data)),
        style=Markup(style),
        source=Markup(hash_source(style)),
        facts=facts,
        overview=build_overview(facts),
        histogram=Markup(draw_histogram(facts.classes.counts, groups)),
        advice=advice,
        suggestions=suggestions,
        faults=list_faults(facts, most=1000),
        near=Markup(render_near(facts)),
        classes=classes,
        shown=len(order),
        kinds=pick_photographs(facts, order[:MAX_PICTURED]),
        most=PHOTOGRAPHS,
    )


def draw_histogram(counts: Sequence[int], groups: Sequence[str]) -> str:
    """Draw sorted training counts as an inline SVG, a path for each group; a class without images leaves a gap."""
    pairs = sorted(zip(counts, groups, strict=True), reverse=True)
    top = math.log10(max(max(counts), 1) * 2)  # twice the counts, so that the bar of one image has a height
    width, gap = WIDTH / len(pairs), 0.15 if len(pairs) <= 200 else 0

    def draw_bar(rank: int, count: int) -> str:
        height = HEIGHT * math.log10(2 * count) / top if count else 0
        return f"M{rank * width:.2f} {HEIGHT}v-{height:.2f}h{width * (1 - gap):.2f}v{height:.2f}z"

    paths = {
        group: "".join(draw_bar(rank, count) for rank, (count, name) in enumerate(pairs) if name == group)
        for group in GROUPS
    }
    ticks = [10**power for power in range(int(math.log10(max(max(counts), 1))) + 1)]
    lines = "".join(
        f'<line x1="0" x2="{WIDTH}" y1="{(y := HEIGHT * (1 - math.log10(2 * tick) / top)):.1f}" y2="{y:.1f}"/>'
        f'<text x="-8" y="{y + 4:.1f}" text-anchor="end">{tick:,}</text>'
        for tick in ticks
    )
    label = f"Training images of {len(pairs)} classes, from {pairs[0][0]:,} to {pairs[-1][0]:,}"
    bars = "".join(f'<path class="{group}" d="{path}"/>' for group, path in paths.items() if path)
    return f'<svg viewBox="{-MARGIN} -10 {WIDTH + MARGIN} {HEIGHT + 12}" role="img" aria-label="{label}">{lines}{bars}</svg>'
