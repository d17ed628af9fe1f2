"""The command `longtail evaluate`."""

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from longtail.commands.console import break_silence, build_results_table
from longtail.commands.flags import Device, Root, Selected, Threads
from longtail.data.catalog import resolve_path

TOLERANCE = 0.1  # points of top-1; another machine rounds otherwise


def evaluate(
    run: str,
    /,
    *,
    root: Root = None,
    data: Annotated[str | None, Parameter(help="new path of custom data that were moved, or hf:owner/name")] = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Test the model of a finished run again and print its table; write no file."""
    from longtail import api
    from longtail.machine import keep_freed_memory

    keep_freed_memory()
    with break_silence("testing"):
        model = api.load(run, selected=selected, device=device, threads=threads)
        recipe = model.recipe.change(data=resolve_path(data)) if data else model.recipe
        results = model.evaluate(model.run.load_data(root, recipe)).results(model.train_counts)
    with model.run.folder.report_damage("results.json"):
        trained = model.results
        epoch = trained["selected"]["epoch"] if selected else None
        before = (trained["selected"] if selected else trained)["plain"]["ensemble"]["top1"]
        Console().print(build_results_table(trained | results, epoch, model.recipe.transform_set.has_flips))
    if abs(results["plain"]["ensemble"]["top1"] - before) > TOLERANCE:
        print(
            f"the run itself had a top-1 of {before:.1f}: these test images, the file of its method or its weights are not "
            "those of the training",
            file=sys.stderr,
        )
