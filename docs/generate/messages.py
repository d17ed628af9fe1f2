"""The messages of all errors that a user can meet, read from the source, where each stands once."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "longtail"
ERRORS = ("LongtailError", "LostProcess", "BadImage")
TOPICS = {  # title and the parts of the package that raise its errors
    "Your images and tables": ("data", "inspection", "augment", "unpack"),
    "Flags, recipes and methods": ("validation", "conflicts", "recipe", "recipes", "methods", "errors", "commands"),
    "Networks, weights and features": ("nets", "features", "machine"),
    "Training, resuming and run folders": (
        *(
            "launch",
            "trainer",
            "stages",
            "step",
            "graph",
            "checkpoint",
            "seeds",
            "selection",
            "runs",
            "budget",
            "teaching",
        ),
        *("estimate", "distributed", "tracking", "tensorboard"),
    ),
    "Predicting, exporting and Python": ("inference", "api", "heads", "evaluate", "testing"),
    "The hub and the page of longtail try": ("hub", "publish", "tryout"),
    "Reports, figures and reproduction": ("report", "analysis", "reproduce"),
}
OTHER = "Other parts"


def render_messages() -> str:
    """Return a table of messages and of what to do for each topic, and for the parts of the package without a topic."""
    found: dict[str, set[str]] = {title: set() for title in (*TOPICS, OTHER)}
    topic = {part: title for title, parts in TOPICS.items() for part in parts}
    for path in sorted(PACKAGE.rglob("*.py")):
        for message in read_messages(path):
            part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
            found[topic.get(part, OTHER)].add(message)
    return "\n".join(render_topic(title, sorted(found[title], key=str.lower)) for title in found if found[title])


def render_topic(title: str, messages: list[str]) -> str:
    """Return a section with one row for each message, cut in two where it begins to say what to do."""
    rows = []
    for message in messages:
        what, _, advice = message.partition("; ")
        rows.append(f"| {what} | {advice} |")
    return "\n".join([f"## {title}\n", "| message | what to do |", "|---|---|", *rows, ""])


def read_messages(path: Path) -> Iterator[str]:
    """Yield the message of every error that a module creates, with `...` for each value that is put in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS and node.args:
            text = " ".join(read_text(node.args[-1]).split())
            if len(re.findall(r"\b[a-z]{2,}\b", text)) > 1:  # others pass on the message of another error
                yield escape_markdown(text)


def read_text(node: ast.expr) -> str:
    """Return a string as written in the source: `{name}` is NAME, any other expression is `...`."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(read_text, node.values))
    if isinstance(node, ast.BinOp):
        return read_text(node.left) + read_text(node.right)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        return node.value.id.strip("_").upper()
    return "..."


def escape_markdown(text: str) -> str:
    """Return a text without tags, emphasis and bars, so that a cell of a table shows it as it is."""
    for mark in "\\|*_<>`[]":
        text = text.replace(mark, f"&#{ord(mark)};")
    return text
