"""The commands `longtail methods` and `longtail recipes`."""

import ast
import inspect
from importlib.resources import files
from typing import get_args

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from longtail.errors import unknown_name
from longtail.methods import METHODS, find_plugins, get_method_class, get_options
from longtail.recipe import describe_fields
from longtail.recipes import DEFAULT, RECIPES, default_fields


def methods(name: str | None = None, /) -> None:
    """List the methods, or show one with its options, defaults and sources."""
    console = Console()
    if name is None:
        table = Table("method", "paper", "year", "family", "cost")
        for key, entry in METHODS.items():
            table.add_row(key, entry.paper, str(entry.year or ""), entry.family, entry.cost)
        for key, point in find_plugins().items():
            package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            table.add_row(key, f"package {escape(package)}", "", "plug-in", "")
        console.print(table)
        return
    options, title = get_options(name), name
    if name in METHODS:
        entry = METHODS[name]
        title = f"{name}: {entry.paper} {entry.year or ''}."
    console.print(f"[bold]{escape(title)}[/] {escape(join_lines(read_method_docstring(name)))}", highlight=False)
    table = Table("option", "default", "meaning (source)")
    for option in options.values():
        choices = " or ".join(map(str, get_args(option.type)))
        text = f"{option.help}: {choices}" if choices else option.help
        table.add_row(f"--{option.name.replace('_', '-')}", str(option.default).lower(), escape(text))
    console.print(table)


def read_method_docstring(name: str) -> str:
    """Return the docstring of the class of a method; for a built-in method, without loading torch."""
    if name not in METHODS:
        return inspect.getdoc(get_method_class(name)) or ""
    module, _, class_name = METHODS[name].path.partition(":")
    nodes = ast.parse((files("longtail.methods") / f"{module}.py").read_text(encoding="utf-8")).body
    return next(ast.get_docstring(n) or "" for n in nodes if isinstance(n, ast.ClassDef) and n.name == class_name)


def join_lines(text: str) -> str:
    """Return a text with one line for each paragraph, which the terminal then wraps at its own width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def recipes(name: str | None = None, /) -> None:
    """List the recipes, or show one."""
    console = Console()
    if name is None:
        table = Table("recipe", "default for", "meaning")
        for key, module in RECIPES.items():
            data = [data for data, recipe in DEFAULT.items() if recipe == key]
            table.add_row(key, ", ".join(data) or "custom data" * (key == "frozen"), inspect.getdoc(module))
        console.print(table)
        return
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    values = default_fields(None, name, "ecl")
    console.print(f"[bold]{name}[/]: {escape(join_lines(inspect.getdoc(RECIPES[name]) or ''))}", highlight=False)
    table = Table("field", "value", "meaning")
    for field, (_, text, *_) in describe_fields().items():
        if field in values and field not in ("data", "method", "options"):
            value = values[field]
            table.add_row(field, f"{value:.4g}" if isinstance(value, float) else str(value), escape(text))
    for option in get_options("ecl").values():
        table.add_row(option.name, str(values.get(option.name, option.default)), "option of ecl")
    console.print(table)
