"""Folders of the Hugging Face hub, fetched or cloned: their files, the images their networks expect, their license."""

import json
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError

HUB = "hf:"  # begins a name of the hub
ADDRESS = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<file>[^@]+))?")


@dataclass(frozen=True)
class HubAddress:
    """A repository of the hub, `owner/name`, at a revision (a branch, tag or commit) and with a file, if named."""

    repo: str
    revision: str | None = None
    file: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubAddress":
        """Parse `hf:owner/name[@rev][/file]`; raises LongtailError for any other text."""
        if not (match := ADDRESS.fullmatch(text)):
            raise LongtailError(f"weights {text} are no name of the hub; write hf:owner/name[@revision][/file]")
        return cls(**match.groupdict())

    def __str__(self) -> str:
        revision, file = f"@{self.revision}" if self.revision else "", f" ({self.file})" if self.file else ""
        return f"{self.repo}{revision}{file}"


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

    try:
        with quiet_hub():
            return Path(huggingface_hub.hf_hub_download(address.repo, file, revision=address.revision))
    except Exception as error:  # the hub's own errors, those of its HTTP library, of the disk: any type
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            return None
        raise LongtailError(f"weights hf:{address}: {describe_failure(error)}") from error


def describe_failure(error: BaseException) -> str:
    """Return in words why the hub did not give a file, and a remedy."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return "this repository is gated: accept its terms on huggingface.co, then log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository, or a private one; check the name, or log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision; check what follows @"
    if isinstance(error, errors.HFValidationError):
        return "this is no name of a repository; write hf:owner/name"
    if constants.HF_HUB_OFFLINE and isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set and the file is not in the local cache; unset it, or take a local file"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            "the hub cannot be reached and the file is not in the local cache; check the network, or take a local file"
        )
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Silence the warnings of huggingface_hub within the context; it logs each of a dozen attempts to connect."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


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
