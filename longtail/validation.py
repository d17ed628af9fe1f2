"""One validator for the fields of a recipe and the options of a method: type, choices and range of a value, expressions."""

import re
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from longtail.errors import LongtailError

INFINITY = float("inf")
LARGEST_SEED = 2**32 - 1  # of numpy and scikit-learn


@dataclass(frozen=True)
class Range:
    """The values that a number may take, with both ends unless `open_low` or `open_high`."""

    low: float = -INFINITY
    high: float = INFINITY
    open_low: bool = False
    open_high: bool = False

    def explain(self, value: float) -> str | None:
        """Return the bound that a value breaks, such as "at least 1", or None if the value lies inside."""
        if value < self.low or (self.open_low and value == self.low):
            return f"{'above' if self.open_low else 'at least'} {self.low}"
        if value > self.high or (self.open_high and value == self.high):
            return f"{'below' if self.open_high else 'at most'} {self.high}"
        return None


def check_value(label: str, value: object, kind: Any, limits: Range | None = None) -> None:
    """Raise LongtailError, which begins with the label, if a value is not of type `kind` or outside the limits.

    `kind` is a type, a union with None, a Literal, or `tuple[T, ...]`. An int passes as a float, but a bool never as a
    number; numbers must be finite.
    """
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)  # Literal | None is a Union
    if value is None and NoneType in kinds:
        return
    base = kinds[0]
    if get_origin(base) is Literal:
        if value not in get_args(base):
            raise LongtailError(f"{label} is {value!r}; it takes {' or '.join(map(str, get_args(base)))}")
        return
    if get_origin(base) is tuple:
        if not isinstance(value, tuple):
            raise LongtailError(f"{label} is {value!r}; it takes several numbers")
        for element in value:
            check_value(label, element, get_args(base)[0], limits)
        return
    allowed = (float, int) if base is float else (base,)
    # a bool is an instance of int, and NaN breaks no bound
    is_bool = isinstance(value, bool) and base is not bool
    if is_bool or not isinstance(value, allowed) or value != value:
        raise LongtailError(f"{label} is {value!r}; it takes {'a number' if base is float else base.__name__}")
    if isinstance(value, int | float) and base is not bool:
        if abs(value) == INFINITY:
            raise LongtailError(f"{label} is {value}; it must be finite")
        if limits and (bound := limits.explain(value)):
            raise LongtailError(f"{label} is {value}; it must be {bound}")


def check_pattern(label: str, pattern: str) -> None:
    """Raise LongtailError, which begins with the label, if a text is no regular expression."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise LongtailError(f"{label} is '{pattern}', which is no regular expression: {error}") from None
