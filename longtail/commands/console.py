"""What a person sees in the terminal: the progress of a run, and tables."""

import time
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from longtail.data import format_data_name
from longtail.metrics import METRICS
from longtail.ranks import get_rank
from longtail.runs.folder import RunFolder
from longtail.tracking import ProgressReport, SilentReport

METRIC_LABELS = dict(zip(METRICS, ("top-1", "bal.", "many", "medium", "few", "worst", "ECE"), strict=True))
QUIET_SECONDS = 10  # between lines where there is no terminal to redraw


class ConsoleReport:
    """Progress bars with loss terms, the last tested accuracy and the time left; plain lines where there is no terminal."""

    def __init__(self, console: Console):
        self.console, self.said, self.spoke = console, set(), float("-inf")
        self.tasks, self.epochs, self.accuracy = {}, {}, {}
        place = TextColumn("{task.description}", table_column=Column(no_wrap=True))
        terms = TextColumn("{task.fields[terms]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
        self.bar = Progress(
            place, BarColumn(10), TimeRemainingColumn(compact=True), terms, console=console, expand=True
        )

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None:
        self.note(title, style="")
        self.tasks[seed] = self.bar.add_task(f"seed {seed}", total=steps, terms="")
        self.epochs[seed], self.accuracy[seed] = epochs, ""
        if self.console.is_terminal:
            self.bar.start()

    def note(self, text: str, style: str = "yellow") -> None:
        if text not in self.said:  # once, however many seeds say so
            self.console.print(text, style=style, highlight=False, markup=False)
        self.said.add(text)

    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None:
        place = f"seed {seed}, epoch {epoch}/{self.epochs[seed]}"
        text = (
            f"loss {sum(terms.values()):.2f}{self.accuracy[seed]}  {format_terms(terms)}"  # what is last is cut first
        )
        self.bar.update(self.tasks[seed], advance=steps, description=place, terms=text)

    def epoch(self, seed: int, row: dict) -> None:
        if row.get("test_top1") is not None:
            self.accuracy[seed] = f"  top-1 {row['test_top1']:.1f} (epoch {row['epoch']})"
        now = time.monotonic()
        if self.console.is_terminal or (now - self.spoke < QUIET_SECONDS and row["epoch"] < self.epochs[seed]):
            return
        self.spoke, names = now, list(row)
        terms = {name: row[name] for name in names[names.index("loss") : names.index("peak_memory_mb")]}
        remaining = next(task.time_remaining for task in self.bar.tasks if task.id == self.tasks[seed])
        left = f"  {remaining:.0f} s left" if remaining else ""
        place = f"seed {seed} epoch {row['epoch']}/{self.epochs[seed]}"
        text = f"{place}  {format_terms(terms)}{self.accuracy[seed]}  {row['seconds']:.1f} s{left}"
        self.console.print(text, highlight=False, soft_wrap=True)

    def end(self, seed: int) -> None:
        self.tasks.pop(seed, None)
        if not self.tasks and self.console.is_terminal:
            self.bar.stop()


def format_terms(terms: dict[str, float]) -> str:
    """Names and values in a row."""
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())


def build_report(console: Console) -> ProgressReport:
    """Who tells of a run: of several processes only the first speaks."""
    return ConsoleReport(console) if get_rank() == 0 else SilentReport()


def build_results_table(results: dict, selected: int | None = None) -> Table:
    """The seven numbers of the ensemble and of every expert, with and without mirror images; over seeds, mean and deviation.

    They are those of the last epoch, or of the one that validation selected.
    """
    seeds = f"seed {results['seed']}" if "seed" in results else f"mean ± sd of {len(results['seeds'])} seeds"
    what = f"{results['method']} on {escape(format_data_name(results['data']))}"
    epoch = f"{results['epochs']} (the last)" if selected is None else f"{selected} (selected)"
    title = f"{what}, {seeds}, epoch {epoch}, % of test images"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    table.add_column("", no_wrap=True)
    for name in METRICS:
        table.add_column(METRIC_LABELS[name], justify="right", no_wrap=True)
    for how, note in (("plain", ""), ("flip", ", mirrored")):
        experts = results[how]["experts"]
        rows = [(f"expert {k}{note}" if len(experts) > 1 else f"single{note}", e, "") for k, e in enumerate(experts, 1)]
        if len(experts) > 1:
            rows.insert(0, (f"{len(experts)} experts{note}", results[how]["ensemble"], "bold"))
        for name, measured, style in rows:
            table.add_row(name, *format_cells(measured, "mean"), style=style)
            if "seeds" in results:
                table.add_row("  ±", *format_cells(measured, "sd"), style="dim")
        table.add_section()
    return table


def format_cells(measured: dict[str, float | dict | None], part: str) -> list[str]:
    """Numbers with one decimal, n/a where nothing was to be measured; of several seeds, their mean or sd."""
    values = [measured[name] for name in METRICS]
    numbers = [value[part] if isinstance(value, dict) else value for value in values]
    return ["n/a" if number is None else f"{number:.1f}" for number in numbers]


def format_selected(selected: dict) -> str:
    """The epoch that validation chose, and the ensemble's seven numbers on the test images there."""
    measured = selected["plain"]["ensemble"]
    numbers = ", ".join(
        f"{METRIC_LABELS[name]} {cell}" for name, cell in zip(METRICS, format_cells(measured, "mean"), strict=True)
    )
    return f"epoch {selected['epoch']}, best in {METRIC_LABELS[selected['by']]} on the validation images: {numbers}\n"


FILE_DESCRIPTIONS = {
    "report.html": "all of it as a page, with figures",
    "results.json": "the numbers above",
    "per_class.csv": "accuracy of every class",
    "predictions.parquet": "choice and confidence for every test image",
    "metrics.csv": "loss terms and time of every epoch",
    "model.safetensors": "weights",
    "recipe.json": "the recipe",
}


def show_run(console: Console, run: RunFolder) -> None:
    """The table of a finished run, and the paths of what it wrote."""
    with run.report_damage("results.json"):
        results = run.read_json("results.json")
        console.print(build_results_table(results))
        if "selected" in results:
            console.print(format_selected(results["selected"]), highlight=False)
    for name, what in ((name, what) for name, what in FILE_DESCRIPTIONS.items() if run.has(name)):
        show_file(console, run.path / name, what)


def show_file(console: Console, path: Path, what: str) -> None:
    """A line on a file that was written."""
    console.print(f"{escape(str(path))}  [dim]{what}[/]", highlight=False, soft_wrap=True)
