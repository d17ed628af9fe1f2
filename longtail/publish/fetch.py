"""Runs of the hub: their files in the local cache, at one commit."""

from pathlib import Path

from longtail.errors import LongtailError
from longtail.hub import HubAddress, report_failure
from longtail.inference.calibration import NAME as CALIBRATION
from longtail.runs.folder import MANIFEST
from longtail.runs.results import RESULT_FILES

RUN_FILES = (*(name for name in RESULT_FILES if name != "predictions.parquet"), CALIBRATION, MANIFEST)


def fetch_run(name: str, method: str | None = None) -> Path:
    """Return the folder of a run of the hub, `hf:owner/name[@rev]`, downloaded or from the cache.

    Code that a run names is imported only if the caller names the same as `method`. Raises LongtailError if the hub does not
    give the run, or the repository holds something else.
    """
    import huggingface_hub

    address = HubAddress.parse(name, "")
    with report_failure(f"model {name}"):
        where = huggingface_hub.snapshot_download(
            address.repo, revision=address.revision, allow_patterns=list(RUN_FILES)
        )
        tree = huggingface_hub.get_cached_repo_tree(address.repo, revision=Path(where).name)
    if missing := {"recipe.json", "model.json", MANIFEST} - {entry.path for entry in tree}:
        raise LongtailError(
            f"model {name} is no run that `longtail push` wrote: the repository has no {min(missing)}; --weights takes its "
            "weights to begin from"
        )
    check_method(name, Path(where), method)
    return Path(where)


def check_method(name: str, folder: Path, method: str | None) -> None:
    """Raise LongtailError for a run whose method is code that neither this package nor an installed plug-in declares."""
    from longtail.runs.files import read_json

    named = str(read_json(folder / "recipe.json").get("method"))
    if ":" in named and named != method:
        raise LongtailError(
            f"model {name} was trained by {named}, which is code outside this package and is not imported for a run of the "
            "hub; in Python, pass the class: longtail.load(..., method=CLASS)"
        )
