"""`report.html`: one self-contained page on a run, or on several side by side."""

from collections.abc import Sequence
from pathlib import Path

from longtail.errors import LongtailError, check_parent_folder, expand_path, unknown_name
from longtail.report.figures import CHOICES
from longtail.report.page import compose_page
from longtail.report.summary import RunSummary, open_summaries
from longtail.runs.files import write_text

GENERATOR = b'<meta name="generator" content="longtail'


def write_report(
    runs: Sequence[str | Path], out: str | Path | None = None, *, root: str | None = None, figures: str = "fast"
) -> Path:
    """Write the report of finished runs, or of folders made by `--seeds`; returns where it is.

    Without `out` that is RUN/report.html, of several runs report-A-B.html beside the first. An earlier report there is
    replaced, any other file is not. Figures: fast, all (adds those that take minutes, and keeps them in the run), none
    of single runs. Raises LongtailError for a run that is not finished, runs of different data, and a place that
    cannot be written.
    """
    if figures not in CHOICES:
        raise unknown_name("choice of figures", figures, CHOICES)
    if not runs:
        raise LongtailError("a report needs a run; name one or more")
    summaries = open_summaries(list(runs))
    target = expand_path(out) if out else default_report_path(summaries)
    check_target(target)
    content = compose_page(summaries, root, figures)
    write_text(target, content)
    return target


def default_report_path(summaries: list[RunSummary]) -> Path:
    """In the folder of one run; of several, beside the first."""
    first = summaries[0].path
    if len(summaries) == 1:
        return first / "report.html"
    names = [summary.path.name for summary in summaries]
    name = "-".join(names) if len(names) < 4 else f"{names[0]}-and-{len(names) - 1}-more"
    return first.parent / f"report-{name}.html"


def check_target(path: Path) -> None:
    """Raise LongtailError if something there is not a report of ours, or there is no folder for it."""
    check_parent_folder(path)
    if path.is_dir():
        raise LongtailError(f"{path} is a folder; --out takes the name of a file")
    if path.exists():
        with path.open("rb") as file:
            if GENERATOR not in file.read(1000):
                raise LongtailError(f"{path} is there and is not a report of longtail; choose another --out")
