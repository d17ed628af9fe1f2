"""The command `longtail export`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from longtail.commands.flags import Selected
from longtail.errors import LongtailError, escape_controls


def export(
    run: str,
    /,
    *,
    format: Annotated[Literal["onnx", "safetensors"], Parameter(help="file format")] = "onnx",
    expert: Annotated[
        str, Parameter(help="number of one expert, from 1, or ensemble for the mean of all")
    ] = "ensemble",
    out: Annotated[str | None, Parameter(help="new file; by default RUN/export.FORMAT")] = None,
    selected: Selected = False,
) -> None:
    """Export the model of a finished run as ONNX, checked against PyTorch, or as safetensors."""
    from longtail import api

    model = api.load(run, selected=selected, device="cpu")
    experts = len(model.results["plain"]["experts"])
    if expert != "ensemble" and expert not in map(str, range(1, experts + 1)):
        raise LongtailError(f"expert is '{expert}'; {run} has experts 1 to {experts}, or ensemble")
    path, difference = model.export(format, None if expert == "ensemble" else int(expert) - 1, out)
    part = expert if expert == "ensemble" else f"expert {expert}"
    print(f"{escape_controls(path)}: {part}, {len(model.classes)} classes")
    if format == "onnx":
        print("inputs: images (N, 3, H, W) uint8 RGB, log_prior (C,) float32; outputs: logits, probabilities (N, C)")
        print(f"largest difference of a logit between ONNX Runtime and PyTorch: {difference:.1e}")
