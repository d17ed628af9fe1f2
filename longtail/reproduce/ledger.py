"""The ledger: a folder with one small JSON file for each finished cell, so that two ledgers merge by copying files."""

import hashlib
import json
import subprocess
from pathlib import Path

from longtail.errors import LongtailError, expand_path
from longtail.reproduce.cells import Cell, hash_recipe
from longtail.runs.files import write_json
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import RunFolder

KEYS = {"cell", "scale", "recipe", "recipe_sha256", "results", "seconds", "machine", "commit", "sha256"}


class Ledger:
    """Reads and writes cells in a folder; raises LongtailError where that fails."""

    def __init__(self, path: str | Path):
        self.path = expand_path(path)
        if self.path.exists() and not self.path.is_dir():
            raise LongtailError(f"{self.path} is a file, not a ledger's folder; choose another --ledger")

    def file(self, cell: Cell) -> Path:
        """Where a cell is kept."""
        return self.path / f"{cell.name}.json"

    def run_path(self, cell: Cell) -> Path:
        """Where its run folder is while it is trained, and stays for the figures."""
        return self.path / "runs" / cell.name

    def picture(self, name: str, scale: str) -> Path:
        """Where a figure of the paper is drawn."""
        return self.path / "figures" / f"{name}-{scale}.svg"

    def read(self, cell: Cell) -> dict | None:
        """What is kept of a cell, None if it is not there; raises LongtailError for a file that is not as it was written."""
        path = self.file(cell)
        if not path.exists():
            return None
        try:
            kept = json.loads(path.read_text())
            whole = kept.keys() == KEYS and kept["sha256"] == compute_digest(kept)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise LongtailError(f"{path} cannot be read ({error})") from error
        if not whole:
            raise LongtailError(f"{path} is not as it was written: its sha256 does not fit its contents")
        if kept["recipe_sha256"] != hash_recipe(cell.recipe) or kept["scale"] != cell.scale:
            raise LongtailError(f"{path} holds another cell than its name says")
        for name, value in kept["recipe"]["options"].items():
            if value != (now := cell.recipe.options.get(name)):
                raise LongtailError(f"{path} was trained with {name} {value}; by default it is {now} by now")
        return kept

    def quarantine(self, cell: Cell) -> Path:
        """Move a file that cannot be used out of the way, keeping it; returns where it went."""
        path = self.file(cell)
        number = sum(1 for _ in self.path.glob(f"{path.name}.corrupt*"))
        return path.rename(path.with_name(f"{path.name}.corrupt{number or ''}"))

    def keep(self, cell: Cell, run: RunFolder) -> dict:
        """Write a finished run's cell."""
        machine = {k: v for k, v in run.read_json("environment.json").items() if k != "root"}
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
        write_json(self.path / f"{cell.name}.json", kept | {"sha256": compute_digest(kept)})
        return kept


def compute_digest(kept: dict) -> str:
    """Sha256 of a cell's contents without the digest itself."""
    content = {key: value for key, value in kept.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def get_commit() -> str | None:
    """The commit of the code that runs, marked if files were changed since; None outside a clone."""
    here = Path(__file__).resolve().parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno", "."], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("-changed" if changed.stdout.strip() else "")
