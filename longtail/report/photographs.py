"""Photographs on a page: small embedded pictures, and names that break where a reader expects them to."""

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from PIL.Image import Image

CRISP, LARGEST = 64, 96  # pixels: images up to CRISP are kept, larger images shrink to LARGEST


@dataclass(frozen=True)
class Photograph:
    """A small picture on a page: its data URI, and the name of the image."""

    uri: str
    name: str

    @property
    def file(self) -> str:
        """Return the last component of the name."""
        return self.name.rpartition("/")[2]

    @property
    def is_crisp(self) -> bool:
        """Return whether the image has so few pixels that a page shows them as squares."""
        return self.uri.startswith("data:image/png")


def encode_photograph(image: "Image", largest: int = LARGEST) -> str:
    """Encode an RGB image as the data URI of a PNG, or of a JPEG with sides of at most `largest` if a side is over 64."""
    kind = "png"
    if max(image.size) > CRISP:
        image = image.copy()
        image.thumbnail((largest, largest))
        kind = "jpeg"
    content = io.BytesIO()
    image.save(content, kind, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"


def break_name(name: object) -> Markup:
    """Return a name that a page may break after each underscore and slash; a copy of the text is unchanged."""
    return Markup(escape(name).replace("_", Markup("_<wbr>")).replace("/", Markup("/<wbr>")))
