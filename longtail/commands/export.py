"""The command `longtail export`."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from longtail.commands.flags import Selected
from longtail.errors import LongtailError, escape_controls
from longtail.validation import Range, check_value

if TYPE_CHECKING:
    from pathlib import Path

    from longtail.api import Model
    from longtail.inference.quantize import Int8Export

MAX_DROP = 2.0  # points


def export(
    run: str,
    /,
    *,
    format: Annotated[Literal["onnx", "safetensors"], Parameter(help="file format")] = "onnx",
    expert: Annotated[
        str, Parameter(help="number of one expert, from 1, or ensemble for the mean of all")
    ] = "ensemble",
    int8: Annotated[
        bool,
        Parameter(help="as 8-bit integers; calibrated on training images and measured on test images", negative=""),
    ] = False,
    max_drop: Annotated[
        float | None,
        Parameter(
            help=f"largest fall of top-1, many, medium or few in points that --int8 keeps (default {MAX_DROP:g})"
        ),
    ] = None,
    root: Annotated[
        str | None, Parameter(help="folder with the files of the data set, for --int8; by default that of training")
    ] = None,
    out: Annotated[str | None, Parameter(help="new file; by default RUN/export.FORMAT or RUN/export-int8.onnx")] = None,
    selected: Selected = False,
) -> None:
    """Export the model of a finished run as ONNX, checked against PyTorch, or as safetensors."""
    for name, value in {"max_drop": max_drop, "root": root}.items():
        if value is not None and not int8:
            raise LongtailError(f"{name} is of --int8; add --int8, or leave --{name.replace('_', '-')} out")
    if int8 and format != "onnx":
        raise LongtailError("int8 is of ONNX Runtime; leave --int8 or --format safetensors out")
    max_drop = MAX_DROP if max_drop is None else max_drop
    check_value("max_drop", max_drop, float, Range(0, 100))
    from longtail import api

    model = api.load(run, selected=selected, device="cpu")
    experts = len(model.results["plain"]["experts"])
    if expert != "ensemble" and expert not in map(str, range(1, experts + 1)):
        raise LongtailError(f"expert is '{expert}'; {run} has experts 1 to {experts}, or ensemble")
    number, part = (None, expert) if expert == "ensemble" else (int(expert) - 1, f"expert {expert}")
    if int8:
        path = write_int8(model, number, out, max_drop, root, selected)
    else:
        path, difference = model.export(format, number, out)
    print(f"{escape_controls(path)}: {part}, {len(model.classes)} classes")
    if format == "onnx":
        print("inputs: images (N, 3, H, W) uint8 RGB, log_prior (C,) float32; outputs: logits, probabilities (N, C)")
    if format == "onnx" and not int8:
        print(f"largest difference of a logit between ONNX Runtime and PyTorch: {difference:.1e}")


def write_int8(
    model: "Model", expert: int | None, out: str | None, max_drop: float, root: str | None, selected: bool
) -> "Path":
    """Export as 8-bit integers; what these cost is printed before the file is kept."""
    from longtail.commands.console import break_silence
    from longtail.inference.quantize import export_int8

    with break_silence("calibrating, and testing the float and the 8-bit model"):
        split = model.run.load_data(root)
        found = export_int8(model.run, model.method, split, expert, out, max_drop, show_change, selected=selected)
    return found.path


def show_change(found: "Int8Export") -> None:
    """Print the metrics of the float and of the 8-bit model on the test images, and the sizes of the files."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from longtail.commands.console import METRIC_LABELS, format_cells

    table = Table("% of test images", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for label in (*METRIC_LABELS.values(), "MB"):
        table.add_column(label, justify="right")
    rows = {"float": (found.float_metrics, found.float_bytes), "int8": (found.metrics, found.bytes)}
    for name, (metrics, size) in rows.items():
        table.add_row(name, *format_cells({**metrics}, "mean"), f"{size / 1e6:.2f}")
    changes = [f"{found.list_changes()[name]:+.1f}" if name in found.list_changes() else "" for name in METRIC_LABELS]
    table.add_row("change", *changes, f"{(found.bytes - found.float_bytes) / 1e6:+.2f}")
    Console().print(table)
