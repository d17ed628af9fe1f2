"""Tables and lists of paths: CSV and TSV with a header `path,label[,split]`, and lists of `path label` lines."""

import csv
from collections.abc import Iterator
from pathlib import Path

from longtail.data.catalog import LISTS
from longtail.data.classes import RawSplit, RawSplitBuilder
from longtail.data.folder import SUBSET_NAMES
from longtail.errors import LongtailError, unknown_name


def read_table(file: Path, subset: str, root: Path | None = None) -> dict[str, RawSplit]:
    """Read the subsets that a table's column `split` names; rows without that column belong to `subset`.

    Paths are below `root`, or else the file's folder. Raises LongtailError that names the line of a fault.
    """
    builders: dict[str, RawSplitBuilder] = {}
    rows = read_list_rows(file) if file.suffix.lower() in LISTS else read_table_rows(file)
    try:
        for path, label, named in rows:
            builders.setdefault(named or subset, RawSplitBuilder()).add(path, label)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LongtailError(f"{file} cannot be read as a text file in UTF-8: {error}") from error
    if not builders:
        raise LongtailError(f"{file} lists no images")
    return {name: builder.build(root or file.parent) for name, builder in builders.items()}


def read_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a text file in UTF-8; raises LongtailError for zero bytes, which UTF-16 has."""
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        for line in lines:
            if "\0" in line:
                raise LongtailError(f"{file} holds zero bytes, so it is not text in UTF-8; save it again as UTF-8")
            yield line


def read_list_rows(file: Path) -> Iterator[tuple[str, str, None]]:
    """Yield path and label of each line; the label follows the last blank, so paths may have blanks."""
    for number, line in enumerate(read_lines(file), 1):
        if not line.strip():
            continue
        path, *label = line.rstrip().rsplit(maxsplit=1)
        if not label:
            raise LongtailError(f"{file}, line {number}: expected 'path label', found '{line.strip()[:80]}'")
        yield path, label[0], None


def read_table_rows(file: Path) -> Iterator[tuple[str, str, str | None]]:
    """Yield path, label and subset of each line below the header; the subset is None without a column `split`."""
    reader = csv.reader(read_lines(file), delimiter=detect_delimiter(file))
    header = [name.strip().lower() for name in next(reader, [])]
    if missing := [name for name in ("path", "label") if name not in header]:
        raise LongtailError(
            f"{file} has no column {' and no column '.join(missing)}; its first line must name the columns "
            f"path,label and may name split, but names {','.join(header) or 'nothing'}"
        )
    path, label = header.index("path"), header.index("label")
    split = header.index("split") if "split" in header else None
    for row in reader:
        where = f"{file}, line {reader.line_num}"
        if not any(row):
            continue
        if len(row) != len(header):
            raise LongtailError(f"{where}: {len(row)} columns, but the header names {len(header)}")
        if not row[path].strip() or not row[label].strip():
            raise LongtailError(f"{where}: the {'label' if row[path].strip() else 'path'} is empty")
        yield row[path], row[label].strip(), None if split is None else parse_subset_name(row[split], where)


def detect_delimiter(file: Path) -> str:
    """Return a tab for .tsv, and for .csv the most frequent of , ; and tab in the header."""
    # spreadsheets write , or ; into .csv, depending on the country
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        header = lines.readline()
    return "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=header.count)


def parse_subset_name(text: str, where: str) -> str:
    """Return the subset that a cell of the column `split` names; raises LongtailError for any other word."""
    try:
        return SUBSET_NAMES[text.strip().lower()]
    except KeyError:
        error = unknown_name("split", text.strip(), SUBSET_NAMES)
        raise LongtailError(f"{where}: {error}") from None
