"""Folders of the Hugging Face hub, fetched or cloned: their files, the images their networks expect, their license."""

import json
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError
from longtail.hub import HubAddress, report_failure


def fetch(address: HubAddress, file: str) -> Path:
    """Return the local path of a file of the hub, downloaded or from the cache; LongtailError if it cannot be had."""
    path = fetch_if_there(address, file)
    if path is None:
        raise LongtailError(f"{address.repo} on the hub has no file {file}; name one as hf:{address.repo}/FILE")
    return path


@lru_cache
def fetch_if_there(address: HubAddress, file: str) -> Path | None:
    """Return the local path of a file of the hub, or None if the repository is without; else as `fetch`."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    with report_failure(f"weights hf:{address}"):
        try:
            return Path(huggingface_hub.hf_hub_download(address.repo, file, revision=address.revision))
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):
                raise
            return None


def read_pretrained_config(path: Path | None) -> dict[str, Any]:
    """Read the pretrained_cfg of timm's `config.json`, or an older one, which is flat; {} without a file."""
    if path is None or not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LongtailError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise LongtailError(f"{path} is not a configuration of the hub (names and values)")
    nested = found.get("pretrained_cfg")
    return {**found, **nested} if isinstance(nested, dict) else found


def read_input_config(path: Path | None) -> dict[str, Any]:
    """Read `size`, `mean` and `std` as far as a `config.json` has them; LongtailError for odd values."""
    config = read_pretrained_config(path)
    found: dict[str, Any] = {}
    for name in ("mean", "std"):
        if name in config:
            found[name] = check_channels(path, name, config[name])
    if "input_size" in config:
        size = config["input_size"]
        if not (
            isinstance(size, list) and len(size) == 3 and size[1] == size[2] and type(size[2]) is int and size[2] > 0
        ):
            raise LongtailError(f"{path} has input_size {size}; three numbers such as [3, 224, 224] were expected")
        found["size"] = size[2]
    return found


def check_channels(path: Path | None, name: str, values: Any) -> tuple[float, ...]:
    """Return three finite numbers, above 0 for `std`; raises LongtailError for anything else."""
    is_list = isinstance(values, list) and len(values) == 3 and all(type(value) in (int, float) for value in values)
    if not is_list or not all(math.isfinite(value) and (name == "mean" or value > 0) for value in values):
        raise LongtailError(f"{path} has {name} {values}; three numbers, one for each channel, were expected")
    return tuple(map(float, values))


def read_license(config: Path | None, readme: Path | None) -> str | None:
    """Read the license from `config.json`, or from the head of the model card; None if neither states one."""
    if isinstance(stated := read_pretrained_config(config).get("license"), str) and stated:
        return stated
    text = readme.read_text(encoding="utf-8", errors="replace")[:10_000] if readme and readme.is_file() else ""
    head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    entries = dict(re.findall(r"^(license|license_name):[ \t]*([^\s#]+)", head[1] if head else "", re.MULTILINE))
    return entries.get("license_name") or entries.get("license")
