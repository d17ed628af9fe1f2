"""The commands `longtail methods` and `longtail recipes`."""

import ast
import inspect
from importlib.resources import files
from typing import Annotated, get_args

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from longtail.errors import unknown_name
from longtail.methods import METHODS, Entry, find_plugins, get_method_class, get_options
from longtail.recipe import describe_fields
from longtail.recipes import DEFAULT, RECIPES, choose_method, default_fields
from longtail.reproduce.systems import find_printed, parse_marks

COLUMN = "CIFAR-100-LT 100"
PRINTED = "printed: top-1 in Table I of ECL on CIFAR-100-LT, imbalance 100, %; p: published elsewhere."


def methods(
    name: str | None = None,
    /,
    *,
    cost: Annotated[bool, Parameter(help="count parameters and MACs, which takes seconds", negative="")] = False,
) -> None:
    """List the methods, or show one with its options, defaults and sources."""
    console = Console()
    if cost:
        console.print(list_costs([name] if name else [*METHODS]))
        return
    if name is None:
        table = Table(Column("method", no_wrap=True), "paper", "family", "cost", "printed", caption=PRINTED)
        for key, entry in METHODS.items():
            table.add_row(key, name_paper(entry), entry.family, entry.cost, format_printed(key))
        for key, point in find_plugins().items():
            package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            table.add_row(key, f"package {escape(package)}", "plug-in", "", "")
        console.print(table)
        return
    options, title = get_options(name), name
    if name in METHODS:
        entry = METHODS[name]
        title = f"{name}: {name_paper(entry)}."
        title += f" In training: {entry.cost}."
        if printed := format_printed(name):
            title += f" Top-1 printed in Table I, {COLUMN}: {printed}."
    console.print(f"[bold]{escape(title)}[/] {escape(join_lines(read_method_docstring(name)))}", highlight=False)
    table = Table("option", "default", "meaning (source)")
    for option in options.values():
        choices = " or ".join(map(str, get_args(option.type)))
        text = f"{option.help}: {choices}" if choices else option.help
        table.add_row(f"--{option.name.replace('_', '-')}", str(option.default).lower(), escape(text))
    console.print(table)


def format_printed(method: str) -> str:
    """Return the top-1 of a method in Table I on CIFAR-100-LT at imbalance 100, "p" if published elsewhere, "" if not known."""
    printed = find_printed(method, COLUMN)
    return "" if printed is None else f"{printed[0]:g}" + " p" * ("p" in parse_marks(printed[1]))


def list_costs(names: list[str]) -> Table:
    """Build the table of costs: ResNet-32 on 32 x 32 pixels with 100 classes, default options."""
    from longtail.estimate.arithmetic import count_costs

    table = Table(
        "method", "views", "trained", "MACs", "at test", "MACs", "printed",
        title="Millions of parameters and of MACs for one image; ResNet-32, 32 x 32 pixels, 100 classes, default options",
        caption=f"views: of an image in a step. trained: parameters; MACs of the step without its backward pass. at test: "
        f"parameters and MACs of the logits. {PRINTED}",
    )  # fmt: skip
    for name in names:
        get_options(name)  # an unknown name is refused here
        c = count_costs(name)
        millions = (c.trained_parameters, c.training_macs, c.parameters, c.macs)
        trained, training_macs, parameters, macs = (f"{number / 1e6:,.3g}" for number in millions)
        table.add_row(name, str(c.views), trained, training_macs, parameters, macs, format_printed(name))
    return table


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


def name_paper(entry: Entry) -> str:
    """Return paper and year of a method, such as "Xu et al., IEEE TMM 2023"."""
    return " ".join(filter(None, (entry.paper, str(entry.year or ""))))


def recipes(name: str | None = None, /) -> None:
    """List the recipes, or show one."""
    console = Console()
    if name is None:
        table = Table(Column("recipe", no_wrap=True), "default for", "meaning")
        for key, module in RECIPES.items():
            data = [data for data, recipe in DEFAULT.items() if recipe == key]
            data += ["custom data"] * (key == "frozen")
            table.add_row(key, ", ".join(data), escape((inspect.getdoc(module) or "").partition("\n")[0]))
        console.print(table)
        return
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    method = choose_method(name)
    values = default_fields(None, name, method)
    console.print(f"[bold]{name}[/]: {escape(join_lines(inspect.getdoc(RECIPES[name]) or ''))}", highlight=False)
    table = Table("field", "value", "meaning")
    table.add_row("method", method, "the method, if you name none")
    for field, (_, text, *_) in describe_fields().items():
        if field in values and field not in ("data", "method", "options"):
            value = values[field]
            table.add_row(field, f"{value:.4g}" if isinstance(value, float) else str(value), escape(text))
    for option in get_options(method).values():
        table.add_row(option.name, str(values.get(option.name, option.default)), f"option of {method}")
    console.print(table)
