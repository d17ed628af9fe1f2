"""The reproduction ledger: the tables and figures of the ECL paper as cells, run one by one and kept as small files."""

from longtail.reproduce.cells import Cell, cells_of
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.run import reproduce
from longtail.reproduce.show import as_csv, as_markdown, lines_of
from longtail.reproduce.tables import SCALES, TABLES

__all__ = ["SCALES", "TABLES", "Cell", "Ledger", "as_csv", "as_markdown", "cells_of", "lines_of", "reproduce"]
