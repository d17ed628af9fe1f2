"""The command `longtail calibrate`."""

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from longtail.commands.console import break_silence, show_file
from longtail.commands.flags import Device, Root, Selected, Threads
from longtail.errors import escape_controls

if TYPE_CHECKING:
    from longtail.inference.calibration import Calibration
    from longtail.runs.finished import FinishedRun


def calibrate(
    run: str,
    images: str | None = None,
    /,
    *,
    coverage: Annotated[float, Parameter(help="share of images whose set must hold their class")] = 0.9,
    by: Annotated[
        Literal["all", "group", "class", "interpolated"],
        Parameter(
            help="images that share a threshold; interpolated mixes that of the class with that of all (Interp-Q)"
        ),
    ] = "group",
    score: Annotated[
        Literal["pas", "lac", "aps", "raps"] | None,
        Parameter(help="by default pas, or lac where the class prior that the logits assume is not known"),
    ] = None,
    weight: Annotated[
        float | None, Parameter(help="weight of the class's own threshold with --by interpolated")
    ] = None,
    root: Root = None,
    data: Annotated[str | None, Parameter(help="new path of custom data that were moved")] = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Calibrate a finished run on its validation part or on labeled images, for probabilities and prediction sets."""
    from longtail import api
    from longtail.inference.calibration import NAME, check_weight
    from longtail.machine import keep_freed_memory

    check_weight(weight, by)
    keep_freed_memory()
    with break_silence("calibrating") as silence:
        model = api.load(run, selected=selected, device=device, threads=threads)
        chosen = {} if weight is None else {"weight": weight}
        found, notes = model.calibrate(images, coverage=coverage, by=by, score=score, root=root, data=data, **chosen)
        for note in notes:
            silence.note(f"longtail: note: {escape_controls(note)}")
    console = Console()
    show_calibration(console, found, model.run)
    show_file(console, model.run.path / NAME, "for predict --calibrated, --set, --unknown, --sure, and for the report")


def show_calibration(console: Console, found: "Calibration", run: "FinishedRun") -> None:
    """Print the promise of each group of classes with the images behind it, and the temperature."""
    options, thresholds = found.options, found.thresholds
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("classes", "number", "images", "fewest of a class", "the set holds the class of"):
        table.add_column(name, justify="left" if name in ("classes", "the set holds the class of") else "right")
    described = thresholds.describe(run.classes, options)
    for group in dict.fromkeys(each["group"] for each in described):
        members = [each for each in described if each["group"] == group]
        images = [each["images"] for each in members]
        promises = list(dict.fromkeys(each["promise"] for each in members))
        table.add_row(group, str(len(members)), f"{sum(images):,}", str(min(images)), "\n".join(promises))
    console.print(table)
    before, after = found.measured["before"], found.measured["after"]
    source, number = found.images["source"], found.images["count"]
    console.print(
        f"score {options.score}, thresholds by {options.by}; temperature {found.temperature:.3f}: on the {number:,} calibration "
        f"images ({source}), NLL {before['nll']:.3f} -> {after['nll']:.3f} and ECE {before['ece']:.1f} -> {after['ece']:.1f} %",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
