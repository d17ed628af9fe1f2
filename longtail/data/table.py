"""Tables and lists of paths: CSV and TSV with a header `path,label[,split][,group]`, and lists of `path label` lines."""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from longtail.data.catalog import LISTS
from longtail.data.classes import MISSING_LABELS, RawSplit, RawSplitBuilder
from longtail.data.subset_names import SUBSET_BY_WORD, misnamed_split_error, parse_subset_name
from longtail.errors import LongtailError

STRAY_QUOTE = (
    'if a quote (") there is part of the text, write it twice and the cell in quotes; a cell has no line breaks'
)


class UnlabeledTable(LongtailError):
    """The error for a table that names paths but no labels, as the test tables of competitions do."""


class PathReader:
    """A reader of paths relative to a folder; backslashes of Windows become slashes if the files are there then."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.is_windows: bool | None = None  # unknown until a path with a backslash names a file
        self.unresolved = ""

    def read(self, path: str) -> str:
        """Return a path as this system writes it."""
        if "\\" not in path:
            return path
        slashed = path.replace("\\", "/")
        if self.is_windows is None and os.path.exists(self.folder / path):
            self.is_windows = False
        elif self.is_windows is None and os.path.exists(self.folder / slashed):
            self.is_windows = True
        self.unresolved = self.unresolved or path
        return slashed if self.is_windows else path

    def finds(self, path: str) -> bool:
        """Return whether a file or link of this path is there."""
        return os.path.lexists(self.folder / self.read(path))

    def note(self, file: Path) -> list[str]:
        """Return a note on changed paths; raises LongtailError if no path with backslashes names a file."""
        if self.is_windows is None and self.unresolved:
            raise LongtailError(
                f"{file}: {self.unresolved} has backslashes, as on Windows, and is not below {self.folder}, with / neither; "
                "write paths with / that start there, or name their folder by --root"
            )
        return [f"the paths in {file} have backslashes, as on Windows, and are read with /"] if self.is_windows else []


def read_table(file: Path, subset: str, root: Path | None = None) -> tuple[dict[str, RawSplit], list[str]]:
    """Read the subsets that a table's column `split` names, with notes; rows without that column belong to `subset`.

    Paths are below `root`, or else the file's folder. Raises LongtailError that names the line of a fault.
    """
    builders: dict[str, RawSplitBuilder] = {}
    paths = PathReader(root or file.parent)
    rows = read_list_rows(file) if file.suffix.lower() in LISTS else read_table_rows(file)
    try:
        for path, label, named, group in rows:
            check_utf8(file, label, named, group)
            builders.setdefault(named or subset, RawSplitBuilder()).add(paths.read(path), label, group)
    except OSError as error:
        raise LongtailError(f"{file} cannot be read as a table: {error}") from error
    if not builders:
        raise LongtailError(f"{file} lists no images")
    notes = paths.note(file) + note_blanks(file, builders)
    return {name: strip_names(builder.build(paths.folder)) for name, builder in builders.items()}, notes


def check_utf8(file: Path, *texts: str | None) -> None:
    """Raise LongtailError for a text that is not UTF-8; only paths may be bytes of any encoding."""
    for text in texts:
        if text and any("\udc80" <= letter <= "\udcff" for letter in text):
            raise LongtailError(f"{file} holds {text!a}, which is not text in UTF-8; save it again as UTF-8")


def strip_names(raw_split: RawSplit) -> RawSplit:
    """Return a subset whose class names have no blanks at their ends, so that equal names become one class."""
    return replace(raw_split, names=[name.strip() for name in raw_split.names])


def note_blanks(file: Path, builders: dict[str, RawSplitBuilder]) -> list[str]:
    """Return a note on labels that are written with and without blanks at their ends."""
    spelled = {name for builder in builders.values() for name in builder.names}
    merged = sorted(name for name, n in Counter(name.strip() for name in spelled).items() if n > 1)
    shown = ", ".join(f"'{name}'" for name in merged[:5])
    return [f"labels in {file} that differ only in blanks at their ends are one class: {shown}"] if merged else []


def read_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a text in UTF-8, other bytes as surrogates; raises LongtailError for zero bytes, as of UTF-16."""
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        for line in lines:
            if "\0" in line:
                raise LongtailError(f"{file} holds zero bytes, so it is not text in UTF-8; save it again as UTF-8")
            yield line


def read_list_rows(file: Path) -> Iterator[tuple[str, str, None, None]]:
    """Yield path and label of each line; the label follows the last blank, so paths may have blanks."""
    for number, line in enumerate(read_lines(file), 1):
        if not line.strip():
            continue
        path, *label = line.rstrip().rsplit(maxsplit=1)
        if not label:
            raise LongtailError(f"{file}, line {number}: expected 'path label', found '{line.strip()[:80]}'")
        yield path, label[0], None, None


def read_cells(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of the header and of each row of a CSV or TSV file that is not blank.

    Raises LongtailError for a row that has more or fewer cells than the header, for a cell of several lines, which a stray
    quote makes of all rows up to the next quote, and for a quote that is not closed.
    """
    reader, columns, line = csv.reader(read_lines(file), delimiter=detect_delimiter(file), strict=True), 0, 0
    try:
        for row in reader:
            where, line = f"{file}, line {line + 1}", reader.line_num
            if not any(row):
                continue
            columns = columns or len(row)
            if any("\n" in cell or "\r" in cell for cell in row):
                raise LongtailError(f"{where}: a cell goes on to line {line}; {STRAY_QUOTE}")
            if len(row) != columns:
                raise LongtailError(f"{where}: {len(row)} columns, but the header names {columns}")
            yield where, row
    except csv.Error as error:
        raise LongtailError(f"{file}, line {line + 1}: {error}; {STRAY_QUOTE}") from error


def read_table_rows(file: Path) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Yield path, label, subset and group of each line below the header.

    The subset is None without a column `split`, and the group without a column `group`.
    """
    rows = read_cells(file)
    header = [name.strip().lower() for name in next(rows, ("", []))[1]]
    path, label, split, group = find_columns(file, header)
    # words in each other column that so far holds nothing but names of subsets
    words = {i: set[str]() for i in range(len(header)) if i not in (path, label) and split is None}
    for where, row in rows:
        if not row[path].strip() or not row[label].strip():
            raise LongtailError(f"{where}: the {'label' if row[path].strip() else 'path'} is empty")
        for i in list(words):
            if (word := row[i].strip().lower()) in SUBSET_BY_WORD:
                words[i].add(word)
            else:
                del words[i]
        subset = None if split is None else parse_subset_name(row[split], where)
        yield row[path], row[label], subset, None if group is None else parse_group(row[group])
    for i, found in words.items():
        if len({SUBSET_BY_WORD[word] for word in found}) > 1:
            raise misnamed_split_error(str(file), header[i], found)


def parse_group(cell: str) -> str:
    """Return the group that a cell names, "" for none, as for the words that stand for a missing value."""
    return "" if cell.strip().casefold() in MISSING_LABELS else cell.strip()


def find_columns(file: Path, header: list[str]) -> tuple[int, int, int | None, int | None]:
    """Return the positions of the columns path, label and, where they are there, split and group.

    Raises LongtailError for a column that is missing or stands twice, and UnlabeledTable if only the label is missing.
    """
    if missing := [name for name in ("path", "label") if name not in header]:
        kind = UnlabeledTable if missing == ["label"] else LongtailError
        raise kind(
            f"{file} has no column {' and no column '.join(missing)}; its first line must name the columns "
            f"path,label and may name split and group, but names {','.join(header) or 'nothing'}"
        )
    if twice := [name for name in ("path", "label", "split", "group") if header.count(name) > 1]:
        raise LongtailError(
            f"{file} names the column {' and the column '.join(twice)} twice in its first line; leave one"
        )
    split, group = (header.index(name) if name in header else None for name in ("split", "group"))
    return header.index("path"), header.index("label"), split, group


def detect_delimiter(file: Path) -> str:
    """Return a tab for .tsv, and for .csv the most frequent of , ; and tab in the header."""
    # spreadsheets write , or ; into .csv, depending on the country
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        header = lines.readline()
    return "\t" if file.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
