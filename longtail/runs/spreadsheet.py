"""Cells of CSV files that a spreadsheet would take as formulas (OWASP, CSV injection)."""

import csv
import re
from collections.abc import Iterable
from typing import IO, Any

# apostrophes before the character count, so that `restore_cell` returns every text
FORMULA = re.compile(
    "'*[=+\\-@\\t\\r\\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}]"
)


def neutralize_cell(value: Any) -> Any:
    """Return a name or path with an apostrophe before the first character of a formula; other values are unchanged."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def write_cells(file: IO[str], cells: Iterable[Any]) -> None:
    """Write a row of CSV in which no text is a formula."""
    row = [neutralize_cell(cell) for cell in cells]
    # the csv module of Python before 3.13 does not quote a carriage return, at which readers would end the row
    has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL).writerow(row)


def restore_cell(text: str) -> str:
    """Return the text that `neutralize_cell` took."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
