"""Options of methods, read from the signature of a class or, without loading torch, from the source of a built-in method."""

import ast
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from longtail.errors import LongtailError, unknown_name
from longtail.validation import Range, check_value

ExpertCount = Annotated[int, "K, independent networks", Range(1)]
HeadShare = Annotated[float, "share of the epochs for the second stage", Range(0.01, 0.99)]
POSITIONAL = ("self", "counts", "net")  # arguments of every method, before its options


@dataclass(frozen=True)
class Option:
    """An option of a method: name, type, default, one line of help with the source of the default, and range."""

    name: str
    type: Any
    default: object
    help: str
    range: Range | None = None


def read_signature(method: type) -> dict[str, Option]:
    """Return the options of a method class in the order of its signature.

    Raises LongtailError for an argument that is not annotated as `Annotated[type, "help", Range(...)]` with a default.
    """
    if method.__init__.__module__ == "longtail.methods.base":  # type: ignore[misc]
        return {}  # arguments of the base classes are no options
    signature = inspect.signature(method.__init__, eval_str=True)  # type: ignore[misc]  # of the class, no subclass
    parameters = [p for p in signature.parameters.values() if p.name not in POSITIONAL]
    return {p.name: _build_option(method.__name__, p.name, p.annotation, p.default) for p in parameters}


def read_source(path: Path, class_name: str) -> dict[str, Option]:
    """Return the same options as `read_signature`, from the source of a built-in method.

    To import a method loads torch, which takes seconds. Help, completion and errors about flags need the options only.
    Annotations may therefore use no names but those below.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    init = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    names = {"Annotated": Annotated, "Literal": Literal, "Range": Range, "Sequence": Sequence}
    names |= {"ExpertCount": ExpertCount, "HeadShare": HeadShare}

    def evaluate(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), str(path), "eval"), dict(names))

    arguments = init.args.args[len(POSITIONAL) :]
    defaults = init.args.defaults[len(init.args.defaults) - len(arguments) :]
    return {
        a.arg: _build_option(class_name, a.arg, evaluate(a.annotation or ast.Constant(None)), evaluate(default))
        for a, default in zip(arguments, defaults, strict=True)
    }


def check_options(name: str, known: dict[str, Option], options: dict) -> None:
    """Raise LongtailError for an option that method `name` does not have, and for a value of another type or out of range."""
    for option, value in options.items():
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)
        check_value(f"option {option} of {name}", value, known[option].type, known[option].range)


def _build_option(method: str, name: str, annotation: object, default: object) -> Option:
    kind, *rest = get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
    if not rest or not isinstance(rest[0], str) or default is inspect.Parameter.empty:
        raise LongtailError(
            f"option {name} of {method} needs a default and an annotation such as Annotated[float, 'help (source)']"
        )
    return Option(name, kind, default, *rest)
