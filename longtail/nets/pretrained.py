"""Pretrained weights from a local file: safetensors, or a torch state dict; no code of the file is run."""

import os
import pickle
import stat
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from longtail.errors import LongtailError

WRAPPINGS = ("state_dict", "model", "model_state_dict")  # keys under which training scripts save the weights
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
# what torch, safetensors, pickle and zipfile raise for a damaged or foreign file
READ_FAILURES: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, AssertionError, RuntimeError),
    *(SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, OverflowError, MemoryError),
)


def check_readable(path: str | Path) -> None:
    """Raise LongtailError unless a path is a regular file that may be read; a FIFO or a device is never opened."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise LongtailError(f"{path} is not a regular file (but a folder, FIFO, socket or device), and is not read")
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, LongtailError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise LongtailError(f"{path} cannot be read: {reason.lower()}") from error


def find_damaged_member(path: str | Path) -> str | None:
    """Return the first member of a torch.save archive with a wrong checksum, or None; may raise any of READ_FAILURES.

    torch.load does not compare the checksums. Files in the form before torch 1.6 have none.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def load_weights_file(path: str) -> dict[str, Tensor]:
    """Load the tensors of a file by name; raises LongtailError if it holds no tensors, or more than tensors."""
    check_readable(path)
    try:
        if path.endswith(".safetensors"):
            return load_file(path)
        damaged = find_damaged_member(path)
        state: Any = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except READ_FAILURES as error:
        if isinstance(error, OSError) and error.strerror:
            raise LongtailError(f"weights {path} cannot be read: {error.strerror.lower()}") from error
        raise LongtailError(
            f"weights {path} are neither safetensors nor a plain torch state dict (names and tensors), or are damaged"
        ) from error
    if damaged:
        raise LongtailError(f"the file of weights {path} is damaged (in {damaged})")
    for key in WRAPPINGS:
        state = state[key] if isinstance(state, dict) and isinstance(state.get(key), dict) else state
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise LongtailError(f"weights {path} hold no state dict (names and tensors)")
    for prefix in PREFIXES:
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def load_pretrained(body: nn.Module, state: dict[str, Tensor], source: str, net: str) -> None:
    """Load a state dict into a network without head; raises LongtailError that says which tensors do not fit.

    Tensors outside the submodules of the network, such as "fc.weight", are a head and are ignored. timm's conversion is
    applied: older names, and position embeddings of another image size.
    """
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    expected, given = body.state_dict(), list(state)
    try:
        state = convert(dict(state), body) if convert else state
    except Exception as error:  # timm's conversions raise anything for a state of another network
        why = " ".join(str(error).split())[:120] + compare_names(given, list(expected))
        raise LongtailError(f"weights {source} do not fit {net}: {why}") from error
    state = {name: value for name, value in state.items() if name in expected or not is_head(name, body)}
    faults = {
        # files from before torch 0.4 lack num_batches_tracked, which nothing uses
        "missing": [n for n in expected if n not in state and not n.endswith("num_batches_tracked")],
        "unknown": [n for n in state if n not in expected],
        "of another shape": [n for n, value in expected.items() if n in state and state[n].shape != value.shape],
    }
    summary = [f"{len(names)} {fault} (first {names[0]})" for fault, names in faults.items() if names]
    if summary:
        why = f"of {len(expected)} tensors {', '.join(summary)}{compare_names(given, list(expected))}"
        raise LongtailError(f"weights {source} do not fit {net}: {why}")
    body.load_state_dict(state, strict=False)


def compare_names(found: list[str], expected: list[str]) -> str:
    """Return the first names of a file and of a network where fewer than half are the same, else nothing."""
    if len(set(found) & set(expected)) * 2 >= len(expected):
        return ""
    return f"; found {', '.join(found[:3])}, ..., expected {', '.join(expected[:3])}, ..."


def is_head(name: str, body: nn.Module) -> bool:
    """Return whether a tensor belongs to a head, without which the network is built."""
    config = getattr(body, "pretrained_cfg", None) or {}  # of timm
    heads = config.get("classifier") or ()
    known = ("head", "fc", "classifier", *((heads,) if isinstance(heads, str) else heads))
    return name.split(".")[0] not in dict(body.named_children()) or any(name.startswith(f"{head}.") for head in known)
