"""The command `longtail evaluate`."""

import os
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from longtail import api
from longtail.commands.console import build_results_table
from longtail.commands.flags import Device, Selected, Threads


def evaluate(
    run: str,
    /,
    *,
    root: Annotated[
        str | None, Parameter(help="folder with the data set's files; by default that of the training")
    ] = None,
    data: Annotated[str | None, Parameter(help="where custom data are now, if they were moved")] = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Test a finished run's model again, and print its table; nothing is written."""
    model = api.load(run, selected=selected, device=device, threads=threads)
    recipe = model.recipe.change(data=os.path.abspath(data)) if data else model.recipe
    results = model.evaluate(model.run.load_data(root, recipe)).results(model.train_counts)
    with model.run.folder.report_damage("results.json"):
        kept = model.results
        Console().print(build_results_table(kept | results, kept["selected"]["epoch"] if selected else None))
