"""The page of `longtail try`: one file with its style and script, and a policy that allows nothing else."""

from dataclasses import dataclass
from pathlib import Path

from longtail.report.styles import hash_source

FILES = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """The page as it is sent, and its content security policy."""

    content: bytes
    policy: str


def render_page(about: dict, most_bytes: int) -> Page:
    """Render the page of a model that `Answerer.describe` describes; `most_bytes` is the size of a photograph."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from longtail import __version__

    style = (FILES.parent / "report" / "style.css").read_text() + (FILES / "tryout.css").read_text()
    script = (FILES / "tryout.js").read_text()
    environment = Environment(loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined)
    words = {"style": Markup(style), "script": Markup(script), "version": __version__, "most_bytes": most_bytes}
    content = environment.get_template("tryout.html").render(words, about=about).encode("utf-8", "backslashreplace")
    policy = (
        f"default-src 'none'; script-src {hash_source(script)}; style-src {hash_source(style)}; img-src data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(content, policy)
