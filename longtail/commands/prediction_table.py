"""Predictions in the terminal: a list of classes for one image, a table for several, whole lines for a file or pipe."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from longtail.inference.predict import Prediction

GAP = 3  # cells between two columns
NARROWEST = 8  # cells of a column of sets
SMALLEST = 0.0005  # probability of a class that comes next, which would read 0.0
WIDEST = 10_000  # cells of a line in a file or a pipe


def show_predictions(predictions: "Iterable[tuple[str, Prediction]]", prior: str) -> None:
    """Print predictions: no line is wider than a terminal and no number is cut; a file or a pipe takes whole lines."""
    console, found = Console(), list(predictions)
    if not console.is_terminal:
        console.width = WIDEST
        print_whole_lines(console, found)
    elif len(found) == 1:
        print_image(console, *found[0])
    elif found:
        print_table(console, found)
    console.print(shorten(f"class prior: {prior}", console.width), markup=False, highlight=False)


def print_image(console: Console, path: str, best: "Prediction") -> None:
    """Print an image, and a line for each of its most probable classes."""
    lines = [shorten(path, console.width)]
    for name, probability in zip(best.classes, best.probabilities, strict=True):
        lines.append(f"{100 * probability:6.1f} %  {shorten(name, console.width - 10)}")
    lines += [
        f"expert {k}  {shorten(name, console.width - 10 - len(str(k)))}"
        for k, name in enumerate(best.votes, 1)
        if len(best.votes) > 1
    ]
    lines += [f"{name}: {shorten(text, console.width - len(name) - 2)}" for name, text in name_decisions(best).items()]
    console.print(*lines, sep="\n", markup=False, highlight=False, no_wrap=True)


def name_decisions(best: "Prediction") -> dict[str, str]:
    """Return what was decided on an image, as text under the names of columns."""
    decision, texts = best.decision, dict[str, str]()
    if decision.as_trained is not None:
        texts["as trained"] = f"{decision.as_trained[0]} {100 * decision.as_trained[1]:.1f} %"
    if decision.is_unknown is not None:
        texts["unknown"] = "yes" if decision.is_unknown else "no"
    if decision.sure is not None:
        texts["sure"] = f"{decision.sure[0]} {100 * decision.sure[1]:.1f} %"
    if decision.set is not None:
        texts["set"] = f"{len(decision.set)}: {', '.join(decision.set)}"
    return texts


def print_table(console: Console, found: "Sequence[tuple[str, Prediction]]") -> None:
    """Print a line for each image: class, probability, how many experts choose the class, and what comes next."""
    columns = {
        "image": [shorten(path, WIDEST) for path, _ in found],
        "class": [shorten(best.label, WIDEST) for _, best in found],
        "prob.": [f"{100 * best.probabilities[0]:.1f} %" for _, best in found],
    }
    decided = [name_decisions(best) for _, best in found]
    if len(found[0][1].votes) > 1 and not decided[0]:
        columns["experts"] = [f"{best.votes.count(best.label)} of {len(best.votes)}" for _, best in found]
    for name in decided[0]:
        if name != "set":
            columns[name] = [shorten(texts[name], max(console.width // 6, 8)) for texts in decided]
    sides = [max(map(cell_len, [name, *cells])) for name, cells in list(columns.items())[2:]]
    room = console.width - sum(sides) - GAP * (len(columns) - 1) - 2 - ("set" in decided[0]) * (NARROWEST + GAP)
    # the names of images and classes share what is left, and what one does not need goes to the other
    widths = [max(map(cell_len, columns[name])) for name in ("image", "class")]
    share = 2 * room // 5
    limits = [max(room - widths[1], share, 5), max(room - widths[0], room - share, 5)]
    for name, limit in zip(("image", "class"), limits, strict=True):
        columns[name] = [shorten(cell, limit) for cell in columns[name]]
    rest = room - sum(max(map(cell_len, [name, *columns[name]])) for name in ("image", "class")) - GAP
    rest += ("set" in decided[0]) * (NARROWEST + GAP)
    if "set" in decided[0]:  # in place of what comes next
        columns["set"] = [shorten(texts["set"], max(rest, NARROWEST)) for texts in decided]
    else:
        columns["then"] = [list_next(best, rest) for _, best in found]
        if not any(columns["then"]):
            del columns["then"]
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        grid.add_column(name, no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        grid.add_row(*map(escape, row))
    console.print(grid)


def list_next(best: "Prediction", room: int) -> str:
    """Return the classes after the first with their probabilities, as many as fit into `room` cells as a whole."""
    text = ""
    for name, probability in list(zip(best.classes, best.probabilities, strict=True))[1:]:
        if probability < SMALLEST:
            break
        longer = f"{text}, " * bool(text) + f"{shorten(name, max(room, 1))} {100 * probability:.1f}"
        if cell_len(longer) > room:
            break
        text = longer
    return text


def print_whole_lines(console: Console, found: "Sequence[tuple[str, Prediction]]") -> None:
    """Print a table with one line for each image and whole texts."""
    rows, room = [], WIDEST - 31  # without probability, the start of "then", and the edges of columns
    limits = (room // 2, room // 4, 11, WIDEST, room // 4)
    for path, best in found:
        then = ", ".join(f"{n} {100 * p:.1f}" for n, p in list(zip(best.classes, best.probabilities, strict=True))[1:])
        texts = (path, best.label, f"{100 * best.probabilities[0]:.1f} %", then, ", ".join(best.votes))
        rows.append([shorten(text, limit) for text, limit in zip(texts, limits, strict=True)])
        rows[-1] += [shorten(text, room // 8) for text in name_decisions(best).values()]
    names = ("image", "class", "probability", "then", "experts", *(name_decisions(found[0][1]) if found else ()))
    widths = [max([len(name), *map(cell_len, cells)]) for name, *cells in zip(names, *rows, strict=True)]
    grid = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name, width in zip(names, widths, strict=True):
        rest = WIDEST - sum(widths) + width - 16  # without the other columns and all edges
        limit = max(rest, len(name)) if name == "then" else None
        grid.add_column(name, no_wrap=True, overflow="ellipsis", max_width=limit)
    for row in rows:
        grid.add_row(*map(escape, row))
    if rows:
        console.print(grid)


def shorten(text: str, limit: int) -> str:
    """Shorten a text to one line of at most `limit` terminal cells by cutting its middle: a path differs at its end."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    if cell_len(text) <= limit:
        return text
    head, tail = text[: max(limit // 3, 1)], text[-max(limit - limit // 3 - 1, 1) :]
    while cell_len(head + tail) >= limit and len(tail) > 1:  # some letters take two cells
        tail = tail[1:]
    return f"{head}…{tail}"
