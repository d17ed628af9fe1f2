"""The reproduction ledger: the tables and figures of the ECL paper as cells, run one by one and kept as small files."""

from longtail.reproduce.cells import Cell, build_cells
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.run import reproduce
from longtail.reproduce.show import as_csv, as_markdown, build_lines
from longtail.reproduce.tables import SCALES, TABLES

__all__ = ["SCALES", "TABLES", "Cell", "Ledger", "as_csv", "as_markdown", "build_cells", "build_lines", "reproduce"]
