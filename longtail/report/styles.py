"""Styles of pages without style attributes, so that their content security policies need no 'unsafe-inline'."""

import base64
import hashlib
import re
from pathlib import Path

from markupsafe import Markup

TAG = re.compile(r"<[A-Za-z][^<>]*>")  # an SVG that longtail draws escapes < and > in every text and value
ATTRIBUTE = re.compile(r"""\s+([\w:.-]+)=("[^"]*"|'[^']*')""")
DECLARATIONS = re.compile(r"[\w\s:;#.,%()'+-]*")  # nothing that ends a rule or begins an entity


class StyleRules:
    """The declarations of a page by class name; the style element of the page holds them as rules."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def add(self, declarations: str) -> str:
        """Return the class name of declarations such as `width:37.5%`; equal declarations share a class."""
        return self.names.setdefault(declarations, f"r{len(self.names)}")

    def inline_svg(self, svg: str) -> Markup:
        """Return an SVG that longtail has just drawn as part of the page, with classes in place of style attributes."""

        def replace_style(match: re.Match) -> str:
            name, declarations = match[1], match[2][1:-1]
            if name != "style":
                return match[0]
            return f' class="{self.add(declarations)}"' if DECLARATIONS.fullmatch(declarations) else ""

        return Markup(TAG.sub(lambda tag: ATTRIBUTE.sub(replace_style, tag[0]), svg))

    def render(self) -> Markup:
        """Return the rules as a style sheet."""
        return Markup("\n".join(f".{name}{{{declarations}}}" for declarations, name in self.names.items()))


def read_plain_style() -> str:
    """Return the style of pages without scripts."""
    return (Path(__file__).parent / "plain.css").read_text(encoding="utf-8")


def hash_source(text: str) -> str:
    """Return the source expression of an inline style or script for a content security policy (CSP level 2, 'sha256-')."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
