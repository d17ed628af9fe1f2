"""One validator for the fields of a recipe and the options of a method: type, choices and range of a value."""

from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

from longtail.errors import LongtailError

INFINITY = float("inf")


@dataclass(frozen=True)
class Range:
    """The values that a number may take; both ends belong to it, unless `open_low` or `open_high`."""

    low: float = -INFINITY
    high: float = INFINITY
    open_low: bool = False
    open_high: bool = False

    def explain(self, value: float) -> str | None:
        """Return how a value breaks the range, such as "at least 1", or None if it lies inside."""
        if value < self.low or (self.open_low and value == self.low):
            return f"{'above' if self.open_low else 'at least'} {self.low}"
        if value > self.high or (self.open_high and value == self.high):
            return f"{'below' if self.open_high else 'at most'} {self.high}"
        return None


def check_value(label: str, value: object, kind: Any, limits: Range | None = None) -> None:
    """Raise LongtailError, which begins with the label, unless a value is of a type and inside its limits.

    `kind` is a type, a union with None, a Literal, or `tuple[T, ...]`; an int is accepted as a float, a bool never as a
    number, and numbers must be finite.
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in kinds:
        return
    base = kinds[0]
    if get_origin(base) is Literal:
        choices = get_args(base)
        if value not in choices:
            raise LongtailError(f"{label} is {value!r}; it takes {' or '.join(map(str, choices))}")
        return
    if get_origin(base) is tuple:
        if not isinstance(value, tuple):
            raise LongtailError(f"{label} is {value!r}; it takes several numbers")
        for element in value:
            check_value(label, element, get_args(base)[0], limits)
        return
    allowed = (float, int) if base is float else (base,)
    is_bool = isinstance(value, bool) and base is not bool
    if is_bool or not isinstance(value, allowed) or value != value:
        raise LongtailError(f"{label} is {value!r}; it takes {'a number' if base is float else base.__name__}")
    if isinstance(value, int | float) and base is not bool:
        if abs(value) == INFINITY:
            raise LongtailError(f"{label} is {value}; it must be finite")
        if limits and (bound := limits.explain(value)):
            raise LongtailError(f"{label} is {value}; it must be {bound}")
