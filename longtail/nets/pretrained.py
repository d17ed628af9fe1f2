"""Pretrained weights from a local file: safetensors, or a torch state dict, of which no code is run."""

import pickle
import sys
import zipfile
import zlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from longtail.errors import LongtailError

WRAPPINGS = ("state_dict", "model", "model_state_dict")  # under which training scripts keep the weights
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
# what torch, safetensors, pickle and zipfile raise for a damaged or foreign file
READ_FAILURES = (OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, AssertionError, RuntimeError)
READ_FAILURES += (SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, OverflowError, MemoryError)


def find_damaged_member(path: str | Path) -> str | None:
    """The part of what torch.save wrote whose checksum is wrong, over which torch reads on; may raise any of UNREADABLE."""
    if not zipfile.is_zipfile(path):
        return None  # of the form before torch 1.6, or none of torch's
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def load_weights_file(path: str) -> dict[str, Tensor]:
    """The tensors of a file by name; raises LongtailError if it holds none, or more than tensors."""
    if not Path(path).is_file():
        raise LongtailError(f"weights {path} are not there; --weights takes a file, or timm for timm's own")
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        damaged = find_damaged_member(path)
        found = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except READ_FAILURES as error:
        if isinstance(error, OSError) and error.strerror:
            raise LongtailError(f"weights {path} cannot be read: {error.strerror.lower()}") from error
        raise LongtailError(
            f"weights {path} are neither safetensors nor a plain torch state dict (names and tensors), or are damaged"
        ) from error
    if damaged:
        raise LongtailError(f"the file of weights {path} is damaged (in {damaged})")
    for key in WRAPPINGS:
        found = found[key] if isinstance(found, dict) and isinstance(found.get(key), dict) else found
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise LongtailError(f"weights {path} hold no state dict (names and tensors)")
    for prefix in PREFIXES:
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def load_pretrained(body: nn.Module, state: dict[str, Tensor], path: str, net: str) -> None:
    """Load a state whole, but for its head; raises LongtailError saying what does not fit.

    What lies outside the parts that the network has, such as "fc.weight", is a head. timm's own conversion is applied:
    older names, and position embeddings of another image size.
    """
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    wanted, parts = body.state_dict(), {name for name, _ in body.named_children()}
    try:
        found = convert(dict(state), body) if convert else state
    except Exception as error:  # of a state of another network
        raise LongtailError(f"weights {path} do not fit {net}: {' '.join(str(error).split())[:120]}") from error
    head = {name for name in found.keys() - wanted.keys() if is_head(name, parts)}
    found = {name: value for name, value in found.items() if name not in head}
    faults = {
        "missing": [n for n in wanted if n not in found and not n.endswith("num_batches_tracked")],
        "unknown": [n for n in found if n not in wanted],
        "of another shape": [n for n, value in wanted.items() if n in found and found[n].shape != value.shape],
    }
    said = [f"{len(names)} {fault} (first {names[0]})" for fault, names in faults.items() if names]
    if said:
        raise LongtailError(f"weights {path} do not fit {net}: of {len(wanted)} tensors {', '.join(said)}")
    body.load_state_dict(found, strict=False)


def is_head(name: str, parts: set[str]) -> bool:
    """Whether a tensor belongs to a head that the network is built without."""
    top = name.split(".")[0]
    return top not in parts or top in ("head", "fc", "classifier")
