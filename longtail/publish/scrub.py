"""The files of a run as they are published: without folders of this machine, and with hashes of their own."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from longtail.publish.fetch import RUN_FILES
from longtail.runs.finished import FinishedRun
from longtail.runs.folder import MANIFEST

PRIVATE = ("root", "cache")  # folders of the machine in environment.json


def prepare_files(run: FinishedRun) -> dict[str, bytes | Path]:
    """Return the files of a run to publish: the content of changed ones, the path of all others.

    The names of test images stay here: `predictions.parquet` is left out. Raises LongtailError for a damaged file.
    """
    names = [name for name in RUN_FILES if name != MANIFEST and run.folder.has(name)]
    digests = {name: run.folder.verify(name) if is_listed(run, name) else "" for name in names}
    recipe = scrub(run.folder.read_json("recipe.json"))
    changed: dict[str, dict] = {"recipe.json": recipe}
    changed["environment.json"] = scrub(run.environment | dict.fromkeys(PRIVATE))
    changed["results.json"] = run.results | {"data": recipe["data"]}
    changed["model.json"] = run.model | {"options": scrub(run.model.get("options", {}))}
    found: dict[str, bytes | Path] = {name: run.path / name for name in names}
    found |= {name: (json.dumps(content, indent=2) + "\n").encode() for name, content in changed.items()}
    hashes = {name: digests[name] or hash_content(run.path / name) for name in names}
    hashes |= {name: hash_content(content) for name, content in found.items() if isinstance(content, bytes)}
    return found | {MANIFEST: (json.dumps({"sha256": hashes}, indent=2) + "\n").encode()}


def is_listed(run: FinishedRun, name: str) -> bool:
    """Return whether the manifest of a run holds the hash of a file; runs of version 0.1 have no manifest."""
    return run.folder.has(MANIFEST) and name in json.loads((run.path / MANIFEST).read_text())["sha256"]


def hash_content(content: bytes | Path) -> str:
    """Compute the sha256 of bytes or of a file."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scrub(value: Any) -> Any:
    """Return a JSON value in which every absolute path is only its last component, below the root: /photos."""
    if isinstance(value, dict):
        return {key: scrub(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [scrub(inner) for inner in value]
    return os.sep + os.path.basename(value.rstrip(os.sep)) if isinstance(value, str) and os.path.isabs(value) else value
