from .cells import Cell, build_cells
from .ledger import Ledger
from .run import reproduce
from .show import as_csv, as_markdown, build_lines
from .tables import SCALES, TABLES

__all__ = ["SCALES", "TABLES", "Cell", "Ledger", "as_csv", "as_markdown", "build_cells", "build_lines", "reproduce"]
