"""Hooks of mkdocs: pages and parts of pages that come from the code and from files outside of docs/.

A page holds `<!-- generated NAME -->` where `SECTIONS` writes a part, and `<!-- file PATH -->` where a file of the repository
stands. Links to files outside of docs/ become links to their pages here or, without one, plain paths; a link to a file that
does not exist is a warning, which `mkdocs build --strict` takes as an error.
"""

import logging
import re
import sys
from pathlib import Path
from posixpath import normpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path

from docs.generate.messages import render_messages  # noqa: E402
from docs.generate.methods import render_methods  # noqa: E402
from docs.generate.scales import render_scales  # noqa: E402

SECTIONS = {"methods": render_methods, "messages": render_messages}
PAGES = {"RESULTS.md": "all-results.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
FIGURES = "results/ledger/figures"
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "sh", ".yaml": "yaml", ".md": "markdown"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^):#]+)(#[^)]*)?\)")  # to a file; not https://... or #anchor
log = logging.getLogger("mkdocs.hooks.longtail")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that stand outside of docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for page, content in render_scales().items():
        files.append(File.generated(config, page, content=content))
    for figure in sorted((ROOT / FIGURES).glob("*.svg")):
        files.append(File.generated(config, f"figures/{figure.name}", abs_src_path=str(figure)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where their files stand in the site, and fill in what is generated."""
    folder = "" if page.file.generated_by else "docs"
    markdown = LINK.sub(lambda found: redirect(found, folder), markdown)
    markdown = re.sub(r"<!-- generated (\w+) -->", lambda found: SECTIONS[found[1]](), markdown)
    return re.sub(r"<!-- file (\S+) -->", lambda found: format_file(found[1]), markdown)


def format_file(path: str) -> str:
    """Return a file of the repository as a block of code."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return f'```{LANGUAGES[Path(path).suffix]} title="{path}"\n{text}```'


def redirect(link: re.Match, folder: str) -> str:
    """Return a link of a page in `folder` as the site has it."""
    mark, text, target, anchor = link.groups(default="")
    path = normpath(f"{folder}/{target}" if folder else target)
    if not (ROOT / path).exists() and path.removeprefix("docs/") not in PAGES.values():
        log.warning("a link leads to %s, which does not exist", path)
    if path.startswith("docs/") and not folder:
        return f"{mark}[{text}]({path.removeprefix('docs/')}{anchor})"
    if path.startswith("docs/"):
        return link[0]
    if path.startswith(FIGURES):
        return f"\n\n![{text}](figures/{Path(path).name})\n\n"
    if path in PAGES:
        return f"{mark}[{text}]({PAGES[path]}{anchor})"
    return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"
