"""`report.html`: one self-contained page about a run, or about several runs side by side."""

from collections.abc import Sequence
from pathlib import Path

from longtail.errors import LongtailError, check_parent_folder, expand_path, unknown_name
from longtail.ranks import get_rank
from longtail.report.figures import CHOICES
from longtail.report.page import compose_page
from longtail.report.summary import RunSummary, open_summaries
from longtail.runs.files import write_text
from longtail.tracking import ProgressReport

GENERATOR = b'<meta name="generator" content="longtail'


def write_report(
    runs: Sequence[str | Path], out: str | Path | None = None, *, root: str | None = None, figures: str = "fast"
) -> Path:
    """Write the report of finished runs, or of folders made by `--seeds`, and return the path of the report.

    The default path is RUN/report.html, or report-A-B.html beside the first of several runs. Only an earlier report is
    replaced. `figures` is "fast", "all" (adds figures that take minutes, and keeps them in the run) or "none".

    Raises LongtailError for an unfinished run, runs of different data, and a path that cannot be written.
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


def write_run_report(path: Path, report: ProgressReport) -> None:
    """Write the report of a run that was just trained; a failure costs one line, never the run."""
    if get_rank():
        return  # only rank 0 writes
    report.phase("drawing the report")
    try:
        write_report([path])
    except Exception as error:  # whatever it is, the training is done and kept
        why = " ".join(str(error).split()) or type(error).__name__
        report.note(f"no report was written: {why}. The run is complete; longtail report {path} tries again")


def default_report_path(summaries: list[RunSummary]) -> Path:
    """Return report.html in the folder of one run, or a file beside the first of several runs."""
    first = summaries[0].path
    if len(summaries) == 1:
        return first / "report.html"
    names = [summary.path.name for summary in summaries]
    name = "-".join(names) if len(names) < 4 else f"{names[0]}-and-{len(names) - 1}-more"
    return first.parent / f"report-{name}.html"


def check_target(path: Path) -> None:
    """Raise LongtailError if the path holds something that is no report, or the folder is missing."""
    check_parent_folder(path)
    if path.is_dir():
        raise LongtailError(f"{path} is a folder; name a file with --out")
    if path.exists():
        with path.open("rb") as file:
            if GENERATOR not in file.read(1000):
                raise LongtailError(f"{path} exists and is not a report of longtail; choose another --out")
