"""`report.html`: one self-contained page on a run, or on several side by side."""

from collections.abc import Sequence
from pathlib import Path

from longtail.errors import LongtailError, check_folder_of, expanded, unknown
from longtail.report.figures import CHOICES
from longtail.report.page import compose
from longtail.report.subject import Subject, open_subjects
from longtail.runs import RunFolder

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
        raise unknown("choice of figures", figures, CHOICES)
    if not runs:
        raise LongtailError("a report needs a run; name one or more")
    subjects = open_subjects(list(runs))
    target = expanded(out) if out else default_place(subjects)
    check_place(target)
    content = compose(subjects, root, figures)
    RunFolder(target.parent).write_text(target.name, content)
    return target


def default_place(subjects: list[Subject]) -> Path:
    """In the folder of one run; of several, beside the first."""
    first = subjects[0].path
    if len(subjects) == 1:
        return first / "report.html"
    names = [subject.path.name for subject in subjects]
    name = "-".join(names) if len(names) < 4 else f"{names[0]}-and-{len(names) - 1}-more"
    return first.parent / f"report-{name}.html"


def check_place(path: Path) -> None:
    """Raise LongtailError if something there is not a report of ours, or there is no folder for it."""
    check_folder_of(path)
    if path.is_dir():
        raise LongtailError(f"{path} is a folder; --out takes the name of a file")
    if path.exists():
        with path.open("rb") as file:
            if GENERATOR not in file.read(1000):
                raise LongtailError(f"{path} is there and is not a report of longtail; choose another --out")
