"""The ledger: a folder with one small JSON file per finished cell, so that two ledgers merge by copying files."""

import hashlib
import json
from pathlib import Path

from longtail.commit import get_commit
from longtail.errors import LongtailError, expand_path
from longtail.nets.pretrained import check_readable
from longtail.reproduce.cells import Cell, hash_recipe
from longtail.runs.files import write_json
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import RunFolder

# Each option changed the numbers of its method when it was added, so an older cell, which lacks the option, is stale. Any
# other option came with a default that means "as before", and an older cell without that option stays valid.
BREAKING_OPTIONS = {"mislas": {"head_lr"}}
KEYS = {"cell", "scale", "recipe", "recipe_sha256", "results", "seconds", "machine", "commit", "sha256"}


class Ledger:
    """A folder of finished cells."""

    def __init__(self, path: str | Path):
        """Open the ledger in a folder, which need not exist yet; raises LongtailError if the path is a file."""
        self.path = expand_path(path)
        if self.path.exists() and not self.path.is_dir():
            raise LongtailError(f"{self.path} is a file, not the folder of a ledger; choose another --ledger")

    def file(self, cell: Cell) -> Path:
        """Return the path of the file of a cell."""
        return self.path / f"{cell.name}.json"

    def run_path(self, cell: Cell) -> Path:
        """Return the run folder of a cell, which training writes and figures read."""
        return self.path / "runs" / cell.name

    def picture(self, name: str, scale: str) -> Path:
        """Return the path of a drawn figure of the paper."""
        return self.path / "figures" / f"{name}-{scale}.svg"

    def predictions_path(self, name: str) -> Path:
        """Return the path of the predictions that were attached to the cell of this name."""
        return self.path / "predictions" / f"{name}.parquet"

    def read(self, cell: Cell) -> dict | None:
        """Return the contents of a cell's file, None if there is no file.

        Raises LongtailError for a file that is damaged, holds another cell, or is stale: its options no longer hold.
        """
        path = self.file(cell)
        if not path.exists():
            return None
        kept = read_cell_file(path)
        if kept["recipe_sha256"] != hash_recipe(cell.recipe) or kept["scale"] != cell.scale:
            raise LongtailError(f"{path} holds another cell than its name says")
        options = kept["recipe"]["options"]
        for name, value in options.items():
            if value != (now := cell.recipe.options.get(name)):
                raise LongtailError(f"{path} was trained with {name} {value}; the default is now {now}")
        for name in BREAKING_OPTIONS.get(cell.recipe.method, set()) - options.keys():
            raise LongtailError(f"{path} was trained before {cell.recipe.method} had the option {name}")
        return kept

    def quarantine(self, cell: Cell) -> Path:
        """Rename an unusable file of a cell, so that the cell counts as missing; return the new path."""
        path = self.file(cell)
        number = sum(1 for _ in self.path.glob(f"{path.name}.corrupt*"))
        return path.rename(path.with_name(f"{path.name}.corrupt{number or ''}"))

    def keep(self, cell: Cell, run: RunFolder) -> dict:
        """Write the cell of a finished run and return its contents."""
        machine = {
            key: value for key, value in run.read_json("environment.json").items() if key not in ("root", "cache")
        }
        kept = {
            "cell": cell.name,
            "scale": cell.scale,
            "recipe": cell.recipe.asdict(),
            "recipe_sha256": hash_recipe(cell.recipe),
            "results": run.read_json("results.json"),
            "seconds": sum(row["seconds"] for row in FinishedRun(run).metrics),
            "machine": machine,
            "commit": get_commit(),
        }
        write_json(self.file(cell), kept | {"sha256": compute_digest(kept)})
        return kept


def read_cell_file(path: Path) -> dict:
    """Return the contents of the file of a cell; raises LongtailError if it is damaged or changed."""
    check_readable(path)
    try:
        kept = json.loads(path.read_text())
        is_intact = kept.keys() == KEYS and kept["sha256"] == compute_digest(kept)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise LongtailError(f"{path} cannot be read ({error})") from error
    if not is_intact:
        raise LongtailError(f"{path} is not as it was written: its sha256 does not fit its contents")
    return kept


def compute_digest(kept: dict) -> str:
    """Compute the sha256 of a cell's contents without the digest itself."""
    content = {key: value for key, value in kept.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
