"""The section of the page of `longtail inspect` with near duplicates side by side, and the same pairs as JSON."""

import os
from typing import Any

from PIL import Image
from torch import Tensor

from longtail.data import LazyImages
from longtail.data.decode import BadImage
from longtail.inspection.facts import Facts
from longtail.report.photographs import break_name, encode_photograph

MARK = "near duplicates, written by longtail inspect"  # a file with this line may be replaced
SHOWN = 24  # pairs of each kind with pictures
MOST_LISTED = 10_000  # pairs in the JSON file
SIDE = 96  # pixels of a picture
STYLE = """
.near { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: 1rem; padding: 0; list-style: none }
.near li { display: grid; grid-template-columns: 1fr 1fr; gap: .2rem .5rem; font-size: .8rem; overflow-wrap: anywhere }
.near img { width: 6rem; max-width: 100%; height: 6rem; object-fit: contain; background: var(--line) }
.near .quiet { grid-column: 1 / -1 }
"""
SECTION = """{% for title, total, pairs in kinds %}<h2>{{ title }}: {{ "{:,}".format(total) }}</h2>
<ul class="near">{% for cosine, images in pairs %}<li><span class="quiet">cosine {{ "%.2f" | format(cosine) }}</span>
{% for image in images %}<img src="{{ image.picture }}" alt="{{ image.subset }} image of class {{ image.class }}">{% endfor %}
{% for image in images %}<span><b>{{ image.class | name }}</b><br>{{ image.subset }},
{{ image.file | name }}</span>{% endfor %}</li>
{% endfor %}</ul>
{% if total > pairs | length %}<p class="quiet">The page shows the nearest {{ pairs | length }}.</p>{% endif %}{% endfor %}"""


def render_near(facts: Facts) -> str:
    """Render the section, with pictures of the nearest pairs of each kind; "" if no network was named."""
    from jinja2 import Environment

    if facts.near is None:
        return ""
    pairs = facts.near.pairs
    kinds = [
        (
            title,
            len(rows),
            [(pairs.cosines[r], [show_image(facts, i) for i in pairs.positions[r]]) for r in rows[:SHOWN]],
        )
        for title, rows in facts.near.find_kinds(facts.duplicates).items()
    ]
    environment = Environment(autoescape=True)
    environment.filters["name"] = break_name
    return environment.from_string(SECTION).render(kinds=kinds)


def show_image(facts: Facts, i: int) -> dict[str, str]:
    """Return class, subset, file name and picture of the i-th of all images."""
    subset, position = facts.locate_image(i)
    images = facts.subsets[subset]
    try:
        image = images.read(position, SIDE) if isinstance(images, LazyImages) else to_image(images.images[position])
    except BadImage:  # it disappeared meanwhile
        image = Image.new("RGB", (SIDE, SIDE))
    file, picture = os.path.basename(facts.name_image(i)), encode_photograph(image, SIDE)
    return {"subset": subset, "class": facts.name_class(i), "file": file, "picture": picture}


def to_image(pixels: Tensor) -> Image.Image:
    """Turn an image in memory (3, H, W) into a PIL image."""
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def build_near_json(facts: Facts) -> dict[str, Any]:
    """Return the network, the cosine and the nearest pairs, each with path, subset and class of both images."""
    assert facts.near is not None
    near, pairs = facts.near, facts.near.pairs

    def describe(i: int) -> dict[str, str]:
        return {"path": facts.name_image(i), "subset": facts.locate_image(i)[0], "class": facts.name_class(i)}

    listed = [
        {"cosine": round(float(cosine), 4), "images": [describe(a), describe(b)]}
        for cosine, (a, b) in zip(pairs.cosines[:MOST_LISTED], pairs.positions[:MOST_LISTED].tolist(), strict=True)
    ]
    about = {"about": MARK, "net": near.net, "weights": near.weights, "cosine": near.cosine, "data": facts.data}
    return about | {"total": pairs.total, "pairs": listed}
