"""The terminal: the progress of a run, and tables of results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column, Table
from rich.text import Text

from longtail.data import format_data_name
from longtail.metrics import METRICS
from longtail.metrics.names import GROUPS
from longtail.ranks import get_rank
from longtail.tracking import PrintReport, SilentReport, format_duration, format_terms
from longtail.wording import format_count

if TYPE_CHECKING:
    from longtail.runs.folder import RunFolder

FEW_TEST_IMAGES = 50  # of a group, where the standard error may reach 7 points
METRIC_LABELS = dict(zip(METRICS, ("top-1", "bal.", "many", "medium", "few", "worst", "ECE"), strict=True))


class TimeLeft(ProgressColumn):
    """The time left of a bar, as all times are shown."""

    def render(self, task: Task) -> Text:
        return Text("" if task.time_remaining is None else f"{format_duration(task.time_remaining)} left")


class ConsoleReport(SilentReport):
    """A progress report with one bar per seed on a terminal: time left, loss terms, last test accuracy."""

    def __init__(self, console: Console):
        self.console = console
        self.notes: set[str] = set()
        self.tasks: dict[int, TaskID] = {}
        self.counted: dict[str, TaskID] = {}
        self.epochs: dict[int, int] = {}
        self.accuracy: dict[int, str] = {}
        name = TextColumn("{task.description}", table_column=Column(no_wrap=True))
        terms = TextColumn("{task.fields[terms]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
        left = TimeLeft(table_column=Column(no_wrap=True))
        self.bar = Progress(name, BarColumn(10), left, terms, console=console, expand=True)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def begin(self, seed: int, title: str, epochs: int, steps: int) -> None:
        self.print_once(title)
        self.tasks[seed] = self.bar.add_task(f"seed {seed}", total=steps, terms="")
        self.epochs[seed], self.accuracy[seed] = epochs, ""
        self.bar.start()

    def note(self, text: str) -> None:
        self.print_once(text, "yellow")

    def progress(self, task: str, done: int, total: int) -> None:
        if task not in self.counted:
            self.counted[task] = self.bar.add_task(task, total=total, terms="")
        self.bar.update(self.counted[task], completed=done, terms=f"{done:,} of {total:,}")
        self.bar.start()
        if done == total:
            self.bar.remove_task(self.counted.pop(task))

    def print_once(self, text: str, style: str = "") -> None:
        """Print a text, unless another seed has already printed the same one."""
        if text not in self.notes:
            self.console.print(text, style=style, highlight=False, markup=False)
        self.notes.add(text)

    def phase(self, text: str, seed: int | None = None) -> None:
        if seed is None:
            self.console.print(text, style="dim", highlight=False, markup=False)
        else:
            self.bar.update(self.tasks[seed], terms=text)

    def advance(self, seed: int, epoch: int, steps: int, terms: dict[str, float]) -> None:
        name = f"seed {seed}, epoch {epoch}/{self.epochs[seed]}"
        # a narrow terminal cuts the end, so the most important number comes first
        text = f"loss {sum(terms.values()):.2f}{self.accuracy[seed]}  {format_terms(terms)}"
        self.bar.update(self.tasks[seed], advance=steps, description=name, terms=text)

    def epoch(self, seed: int, row: dict) -> None:
        if row.get("test_top1") is not None:
            self.accuracy[seed] = f"  top-1 {row['test_top1']:.1f} (epoch {row['epoch']})"

    def end(self, seed: int) -> None:
        self.tasks.pop(seed, None)
        if not self.tasks:
            self.bar.stop()


def build_report(console: Console) -> SilentReport:
    """Return the progress report of this process: bars on a terminal, lines elsewhere; only rank 0 prints."""
    if get_rank():
        return SilentReport()
    if console.is_terminal:
        return ConsoleReport(console)
    return PrintReport(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))


def break_silence(doing: str) -> PrintReport:
    """Return a context in which a line on standard error says every half minute what a command is `doing`."""
    console = Console(stderr=True, quiet=get_rank() > 0)
    report = PrintReport(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))
    report.doing = doing
    return report


def build_results_table(results: dict, selected: int | None = None, flips: bool = True) -> Table:
    """Build the table of seven metrics for the ensemble and every expert, without and with test-time augmentation.

    Several seeds have a mean and a standard deviation. The epoch is the last one, or `selected`, chosen by validation.
    Without `flips`, as for digits, mirror images are other things than the model learned, and their rows are left out.
    """
    seeds = f"seed {results['seed']}" if "seed" in results else f"mean ± sd of {len(results['seeds'])} seeds"
    subject = f"{results['method']} on {escape(format_data_name(results['data']))}"
    epoch = f"{results['epochs']} (the last)" if selected is None else f"{selected} (selected)"
    title = f"{subject}, {seeds}, epoch {epoch}"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    table.add_column("% of test images", no_wrap=True)  # in the title it would wrap: a title is as wide as its table
    for name in METRICS:
        table.add_column(METRIC_LABELS[name], justify="right", no_wrap=True)
    for mode, note in (("plain", ""), ("flip", ", flip TTA"), ("five_crop", ", five-crop TTE")):
        if mode not in results or (mode == "flip" and not flips):
            continue
        experts = results[mode]["experts"]
        rows = [(f"expert {k}{note}" if len(experts) > 1 else f"single{note}", e, "") for k, e in enumerate(experts, 1)]
        if len(experts) > 1:
            rows.insert(0, (f"{len(experts)} experts{note}", results[mode]["ensemble"], "bold"))
        for name, metrics, style in rows:
            table.add_row(name, *format_cells(metrics, "mean"), style=style)
            if "seeds" in results:
                table.add_row("  ±", *format_cells(metrics, "sd"), style="dim")
        table.add_section()
    return table


def format_cells(metrics: dict[str, float | dict | None], statistic: str) -> list[str]:
    """Format the seven metrics with one decimal, None as n/a; of several seeds, their `statistic`, mean or sd."""
    values = [metrics[name] for name in METRICS]
    numbers = [value[statistic] if isinstance(value, dict) else value for value in values]
    return ["n/a" if number is None else f"{number:.1f}" for number in numbers]


def format_selected(selected: dict) -> str:
    """Format the epoch that validation selected, and the seven metrics of its ensemble on the test images."""
    cells = format_cells(selected["plain"]["ensemble"], "mean")
    numbers = ", ".join(f"{METRIC_LABELS[name]} {cell}" for name, cell in zip(METRICS, cells, strict=True))
    return f"epoch {selected['epoch']}, best in {METRIC_LABELS[selected['by']]} on the validation images: {numbers}\n"


def describe_small_groups(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a sentence on the groups of classes with few test images, from the rows of per_class.csv; "" without any."""
    parts = []
    for group in GROUPS:
        tested = [int(row["test_images"]) for row in rows if row["group"] == group and int(row["test_images"])]
        if 0 < sum(tested) < FEW_TEST_IMAGES:
            images, classes = format_count(sum(tested), "test image"), format_count(len(tested), "class", "classes")
            parts.append(f"{group} on {images} of {classes}")
    return f"measured on few images: {', '.join(parts)}" if parts else ""


FILE_DESCRIPTIONS = {
    "report.html": "the whole report, with figures; it explains the columns",
    "results.json": "the numbers above",
    "per_class.csv": "accuracy of every class",
    "predictions.parquet": "file, class, predicted class and confidence of every test image",
    "metrics.csv": "loss terms and time of every epoch",
    "model.safetensors": "weights",
    "recipe.json": "the recipe",
    "manifest.json": "sha256 of these files, by which damage is noticed",
}


def show_run(console: Console, run: "RunFolder") -> None:
    """Print the table of a finished run, and the paths of its files."""
    with run.report_damage("results.json"):
        results = run.read_json("results.json")
        console.print(build_results_table(results, flips=run.read_recipe().transform_set.has_flips))
        if "selected" in results:
            console.print(format_selected(results["selected"]), highlight=False)
    with run.report_damage("per_class.csv"):
        if note := describe_small_groups(run.read_csv("per_class.csv")):
            console.print(f"{note}\n", style="yellow", highlight=False)
    for name, description in FILE_DESCRIPTIONS.items():
        if run.has(name):
            show_file(console, run.path / name, description)


def show_file(console: Console, path: Path, description: str) -> None:
    """Print the path of a written file, and what the file holds."""
    console.print(f"{escape(str(path))}  [dim]{description}[/]", highlight=False, soft_wrap=True)
