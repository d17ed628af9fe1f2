"""Cells that other people submit: each is verified before it enters a ledger, and stands beside ours in one table."""

import lzma
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from longtail.data.catalog import SOURCES
from longtail.errors import LongtailError, escape_controls, expand_path
from longtail.methods import METHODS, get_options
from longtail.nets.pretrained import check_readable
from longtail.reproduce.cells import PRECISIONS, format_scale
from longtail.reproduce.ledger import Ledger, read_cell_file
from longtail.reproduce.show import format_mean, get_measurement
from longtail.reproduce.tables import SCALES
from longtail.reproduce.verify import verify
from longtail.runs.files import report_damage, write_bytes
from longtail.wording import format_count

MAX_BYTES = 64 * 2**20  # of a submitted file, unpacked; a cell with 10,000 test images has 250 KB
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,59}")
MEASURES = {"top-1": "plain.ensemble.top1", "few": "plain.ensemble.few", "ECE": "plain.ensemble.ece"}
US = "longtail"


def accept(ledger: Ledger, source: str | Path, by: str, root: str | None = None) -> Path:
    """Verify the submitted zip file of one cell, and keep it in the ledger under the name of who sent it; return the path.

    Raises LongtailError for a file that is no submission, a cell that does not verify, and one that is there already.
    """
    if not NAME.fullmatch(by) or by == US:
        raise LongtailError(f"'{escape_controls(by)}' cannot name who sent it: up to 60 of A-Z a-z 0-9 . _ - and space")
    path, home = expand_path(source), Ledger(ledger.path / "submitted" / by)
    with tempfile.TemporaryDirectory() as folder:
        sent = Ledger(folder)
        for name, content in read_archive(path):
            (sent.path / name).parent.mkdir(exist_ok=True)
            write_bytes(sent.path / name, content)
        (cell,) = sent.path.glob("*.json")
        check_names(path, read_cell_file(cell))
        verify(sent, cell.stem, root)
        if (home.path / cell.name).exists():
            raise LongtailError(f"{home.path / cell.name} exists: {by} has submitted this cell already")
        predictions = home.predictions_path(cell.stem)
        predictions.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(predictions, sent.predictions_path(cell.stem).read_bytes())
        write_bytes(home.path / cell.name, cell.read_bytes())  # last, so that a cell in the ledger has its predictions
    return home.path / cell.name


def check_names(path: Path, kept: dict) -> None:
    """Raise LongtailError for a cell whose recipe names code, data or labels from outside this package, or no known scale."""
    recipe = kept["recipe"]
    known = {format_scale(scale, precision) for scale in SCALES for precision in PRECISIONS}
    for name, values in (("method", METHODS), ("data", SOURCES), ("val", (None,)), ("test", (None,))):
        if recipe.get(name) not in values:
            raise LongtailError(f"{path} has {name} {escape_controls(recipe.get(name))}, which is not of this package")
    if kept["scale"] not in known:
        raise LongtailError(f"{path} is of the scale {escape_controls(kept['scale'])}, which is not of this package")


def read_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the two files of a submission: CELL.json and predictions/CELL.parquet."""
    check_readable(path)
    with report_damage(path):
        try:
            with zipfile.ZipFile(path) as archive:
                files = archive.infolist()
                cells = [PurePosixPath(file.filename).stem for file in files if file.filename.endswith(".json")]
                cell = cells[0] if cells else ""
                if sorted(file.filename for file in files) != [f"{cell}.json", f"predictions/{cell}.parquet"]:
                    raise LongtailError(
                        f"{path} is no submission: it must hold CELL.json and predictions/CELL.parquet and nothing else"
                    )
                if sum(file.file_size for file in files) > MAX_BYTES:
                    raise LongtailError(f"{path} unpacks to more than {MAX_BYTES // 2**20} MB; a cell needs far less")
                for file in files:
                    yield file.filename, archive.read(file)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            OSError,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise ValueError(error) from error


def render_submissions(ledger: Ledger) -> Iterator[str]:
    """Yield a Markdown table of all cells whose predictions are kept: reported, ours, by whom, seeds, marks."""
    ours, groups = group_by_recipe(ledger), []
    for home in sorted((ledger.path / "submitted").glob("*/")):
        groups += [(home.name, recipe, kept) for recipe, kept in group_by_recipe(Ledger(home)).items()]
    for recipe, kept in ours.items():
        if verifiable := [each for each in kept if ledger.predictions_path(each["cell"]).is_file()]:
            groups.append((US, recipe, verifiable))
    if not groups:
        return
    yield "## Verified cells"
    yield ""
    yield (
        "Anyone can compute these numbers again from the predictions in the ledger and the published labels (`longtail reproduce "
        "verify CELL`), and add a cell (`--submit`; `longtail reproduce accept FILE --by NAME`). Top-1, few-shot accuracy and "
        "ECE, mean ± sd over seeds."
    )
    yield ""
    yield "| run | reported | ours | by | seeds | marks |"
    yield "| --- | ---: | ---: | --- | ---: | --- |"
    for by, recipe, kept in sorted(groups, key=lambda group: (group[1], group[0])):
        reported = "" if by == US else format_numbers(kept)
        own = format_numbers(ours[recipe]) if recipe in ours else ""
        yield f"| {describe(kept[0])} | {reported} | {own} | {by} | {len(kept)} | {describe_marks(kept[0])} |"


def group_by_recipe(ledger: Ledger) -> dict[str, list[dict]]:
    """Return the readable cells of a ledger by scale and recipe without its seed."""
    groups: dict[str, list[dict]] = {}
    for path in sorted(ledger.path.glob("*.json")):
        try:
            kept = read_cell_file(path)
        except LongtailError:
            continue
        recipe = {name: value for name, value in kept["recipe"].items() if name != "seed"}
        groups.setdefault(f"{kept['scale']} {sorted(recipe.items())}", []).append(kept)
    return groups


def describe(kept: dict) -> str:
    """Return method, changed options, data and scale of a cell."""
    r = kept["recipe"]
    defaults = get_options(r["method"])
    options = [f"{name} {value}" for name, value in r["options"].items() if value != defaults[name].default]
    method = r["method"] + (f" ({', '.join(options)})" if options else "")
    gamma = f", imbalance {r['imbalance']:g}" if r["imbalance"] else ""
    return f"{method}, {r['data']}{gamma}, `{kept['scale']}`"


def describe_marks(kept: dict) -> str:
    """Return how a cell was measured: network, epochs, rate and decay, networks at test, precision."""
    r, experts = kept["recipe"], len(kept["results"]["plain"]["experts"])
    pace = f"last of {r['epochs']} epochs, lr {r['lr']:.2g}, wd {r['weight_decay']:.2g}"
    return f"{r['net']}; {pace}; {format_count(experts, 'network')} at test; {r['precision']}"


def format_numbers(kept: list[dict]) -> str:
    """Format the measures of cells that differ by their seed only, such as "56.3 ± 0.2 / 31.0 ± 0.4 / 1.8 ± 0.1"."""
    texts = []
    for path in MEASURES.values():
        values = [value for each in kept if (value := get_measurement(each, path)) is not None]
        texts.append(format_mean(values) if values else "n/a")
    return " / ".join(texts)
