"""What a person sees in the terminal: the progress of a run, and tables."""

import time
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from longtail.metrics import METRICS
from longtail.runs import RunFolder

LABELS = dict(zip(METRICS, ("top-1", "balanced", "many", "medium", "few", "worst", "ECE"), strict=True))
QUIET_SECONDS = 10  # between lines where there is no terminal to redraw


class ConsoleReport:
    """A progress bar with loss terms, the last tested accuracy and the time left; plain lines where output is not a terminal."""

    def __init__(self, console: Console):
        self.console, self.accuracy, self.spoke = console, "", float("-inf")

    def begin(self, training) -> None:
        recipe, classes = training.recipe, training.split.classes
        groups = ", ".join(f"{classes.groups.count(g)} {g}" for g in ("many", "medium", "few"))
        self.epochs = training.epochs
        where = f"{training.world.device}, {recipe.precision}, seed {recipe.seed}"
        self.console.print(
            f"[bold]{recipe.method}[/] on [bold]{recipe.data}[/]: {len(training.split.train):,} training images, "
            f"{len(classes)} classes ({groups}), {len(training.split.test):,} test images; {recipe.net}, "
            f"{self.epochs} epochs of {training.loader.steps} steps, {where}",
            highlight=False,
        )
        columns = (
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeElapsedColumn(),
            TextColumn("left"),
        )
        self.bar = Progress(
            TextColumn("{task.description}"),
            *columns,
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=self.console,
        )
        self.task = self.bar.add_task("epoch 1", total=self.epochs * training.loader.steps, terms="")
        if self.console.is_terminal:
            self.bar.start()

    def note(self, text: str) -> None:
        self.console.print(f"note: {text}", style="yellow", highlight=False)

    def advance(self, epoch: int, steps: int, terms: dict[str, float]) -> None:
        text = "  ".join(f"{name} {value:.3f}" for name, value in terms.items()) + self.accuracy
        self.bar.update(self.task, advance=steps, description=f"epoch {epoch}/{self.epochs}", terms=text)

    def epoch(self, row: dict) -> None:
        if row.get("test_top1") is not None:
            self.accuracy = f"  test top-1 {row['test_top1']:.1f}"
        now = time.monotonic()
        if not self.console.is_terminal and (now - self.spoke > QUIET_SECONDS or row["epoch"] == self.epochs):
            self.spoke = now
            task = self.bar.tasks[0]
            left = f"{task.time_remaining:.0f} s left" if task.time_remaining else ""
            terms = [f"{name} {value:.3f}" for name, value in row.items() if name in ("loss", *self._terms(row))]
            self.console.print(
                f"epoch {row['epoch']}/{self.epochs}  {'  '.join(terms)}{self.accuracy}  {row['seconds']:.1f} s/epoch  {left}",
                highlight=False,
            )

    def end(self) -> None:
        self.bar.stop()

    @staticmethod
    def _terms(row: dict) -> Sequence[str]:
        names = list(row)
        return names[names.index("loss") + 1 : names.index("peak_memory_mb")]


class Silent:
    """Tells nobody."""

    def begin(self, training) -> None: ...
    def note(self, text: str) -> None: ...
    def advance(self, epoch: int, steps: int, terms: dict[str, float]) -> None: ...
    def epoch(self, row: dict) -> None: ...
    def end(self) -> None: ...


def results_table(results: dict) -> Table:
    """The seven numbers of the ensemble and of every expert, with and without mirror images."""
    what = f"{results['method']} on {results['data']}, seed {results['seed']}"
    title = f"{what}, epoch {results['epochs']} (the last), % of test images"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False
    )
    table.add_column("", no_wrap=True)
    for name in METRICS:
        table.add_column(LABELS[name], justify="right", no_wrap=True)
    for how, note in (("plain", ""), ("flip", ", mirrored")):
        experts = results[how]["experts"]
        if len(experts) > 1:
            table.add_row(f"ensemble of {len(experts)}{note}", *cells(results[how]["ensemble"]), style="bold")
        for k, expert in enumerate(experts, 1):
            table.add_row(f"expert {k}{note}" if len(experts) > 1 else f"single{note}", *cells(expert))
        table.add_section()
    return table


def cells(measured: dict[str, float | None]) -> list[str]:
    """Numbers with one decimal, n/a where nothing was to be measured."""
    return ["n/a" if measured[name] is None else f"{measured[name]:.1f}" for name in METRICS]


WRITTEN = {
    "results.json": "the numbers above",
    "per_class.csv": "accuracy of every class",
    "predictions.parquet": "choice and confidence for every test image",
    "metrics.csv": "loss terms and time of every epoch",
    "model.safetensors": "weights",
    "recipe.json": "the recipe",
}


def show_run(console: Console, run: RunFolder) -> None:
    """The table of a finished run, and the paths of what it wrote."""
    console.print(results_table(run.read_json("results.json")))
    for name, what in WRITTEN.items():
        console.print(f"{run.path / name}  [dim]{what}[/]", highlight=False, soft_wrap=True)
