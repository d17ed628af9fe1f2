"""Methods by name: built in, declared by another package, or a class that the caller passed; this module loads no torch."""

import hashlib
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import getsourcefile
from pathlib import Path
from typing import TYPE_CHECKING

from longtail import methods
from longtail.errors import LongtailError, unknown_name
from longtail.methods.options import Option, read_signature, read_source

if TYPE_CHECKING:
    from longtail.methods.base import Method

GROUP = "longtail.methods"  # entry points by which other packages declare methods
_CLASSES: dict[str, type["Method"]] = {}  # classes that the caller passed to this process, by MODULE:CLASS


def name_method(method: "str | type[Method]") -> str:
    """Return the name of a method: a name as it is, or MODULE:CLASS for a class, which this process remembers.

    Raises LongtailError for anything else.
    """
    if isinstance(method, str):
        return method
    from longtail.methods.base import Method

    if not (isinstance(method, type) and issubclass(method, Method)):
        raise LongtailError(f"method is {method!r}; it takes a name of `longtail methods` or a subclass of Method")
    name = f"{method.__module__}:{method.__qualname__}"
    _CLASSES[name] = method
    return name


def get_method_class(name: str) -> type["Method"]:
    """Return the class of a method by its name: built-in, declared by another package, or MODULE:CLASS.

    Raises LongtailError for an unknown name, and for a package or module that does not load.
    """
    if entry := (methods.METHODS | methods.TAUGHT).get(name):
        module, _, attribute = entry.path.partition(":")
        return getattr(import_module(f"longtail.methods.{module}"), attribute)
    if name in _CLASSES:
        return _CLASSES[name]
    if plugin := find_plugins().get(name):
        return _load_class(name, plugin.value, f" of package {plugin.dist.name if plugin.dist else 'unknown'}")
    if ":" in name:
        return _load_class(name, name)
    raise unknown_name("method", name, [*methods.METHODS, *find_plugins()])


def get_options(name: str) -> dict[str, Option]:
    """Return the options of a method in the order of its signature; built-in methods load no torch.

    Raises LongtailError for an unknown method, and for a class whose arguments are not annotated as options.
    """
    if not isinstance(name, str):
        raise LongtailError(f"method is {name!r}; it takes str")
    return _read_built_in(name) if name in methods.METHODS | methods.TAUGHT else read_signature(get_method_class(name))


@cache
def _read_built_in(name: str) -> dict[str, Option]:
    module, _, class_name = (methods.METHODS | methods.TAUGHT)[name].path.partition(":")
    return read_source(Path(__file__).with_name(f"{module}.py"), class_name)


@cache
def find_plugins() -> dict[str, EntryPoint]:
    """Return the entry points of methods in other installed packages, by name; built-in names take precedence."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in methods.METHODS}


def describe_origin(name: str) -> dict:
    """Return for `environment.json` the package and the sha256 of the file of a method that is not built in, else {}."""
    if name in methods.METHODS | methods.TAUGHT:
        return {}
    plugin = None if name in _CLASSES else find_plugins().get(name)
    described: dict = {}
    if plugin is not None and plugin.dist is not None:
        described["method_package"] = {"name": plugin.dist.name, "version": plugin.dist.version}
    with suppress(OSError, TypeError):  # a class of a notebook or of the interactive prompt has no file
        content = Path(getsourcefile(get_method_class(name)) or "").read_bytes()
        described["method_sha256"] = hashlib.sha256(content).hexdigest()
    return described


def _load_class(name: str, path: str, source: str = "") -> type["Method"]:
    from longtail.methods.base import Method

    module, _, qualified_name = path.partition(":")
    try:
        loaded: object = import_module(module)
        for attribute in qualified_name.split("."):
            loaded = getattr(loaded, attribute)
    except (Exception, SystemExit) as error:  # another package's code may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise LongtailError(
            f"method '{name}'{source} does not load ({why}); install its package, put its "
            "module on PYTHONPATH, or in Python pass its class as method="
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Method)):
        raise LongtailError(f"method '{name}'{source} is no subclass of longtail.methods.Method")
    return loaded
