"""Predictions in the terminal: no line is wider than the terminal, and no number is cut."""

import re

import pytest
from rich.cells import cell_len

from longtail.commands.prediction_table import show_predictions
from longtail.inference.predict import Prediction

NAMES = (
    "Chrysaora_quinquecirrha_young_stage",
    "Gadus_morhua",
    "Hippocampus_hippocampus_entangled_in_net",
    "owl\N{FOX FACE}",
)
SHARES = (0.913, 0.052, 0.021, 0.014)
PATH = "/home/anna/expedition/station_0{}/IMG_2024_07_00_station_0000_image_000{}.jpg"


def predict(votes: tuple[str, ...]) -> Prediction:
    return Prediction(NAMES, SHARES, votes)


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Return a function that shows predictions in a terminal of some width and returns the lines."""

    def show(predictions: list, width: int | None, prior: str = "as trained (uniform)") -> list[str]:
        monkeypatch.setenv("TTY_COMPATIBLE", "0" if width is None else "1")
        monkeypatch.setenv("COLUMNS", str(width or 80))
        show_predictions(predictions, prior)
        return [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()]

    return show


@pytest.mark.parametrize("votes", [NAMES[:1], (NAMES[0], NAMES[2], NAMES[0])])
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_photograph_is_shown_by_a_line_for_each_class_with_its_whole_probability(terminal, width, votes):
    lines = terminal([(PATH.format(1, 1), predict(votes))], width, "a file of frequencies " * 10)
    assert all(cell_len(line) <= width for line in lines)
    assert [line[:8] for line in lines[1:5]] == ["  91.3 %", "   5.2 %", "   2.1 %", "   1.4 %"]
    assert lines[0].endswith("image_0001.jpg") and lines[-1].startswith("class prior: ")
    assert [line.split()[:2] for line in lines[5:-1]] == [["expert", str(k)] for k in (1, 2, 3)] * (len(votes) > 1)
    if width >= 60:
        assert lines[1].endswith(NAMES[0]) and lines[3].endswith(NAMES[2])
    if width >= 80:
        assert lines[0] == PATH.format(1, 1)


@pytest.mark.parametrize("votes", [NAMES[:1], (NAMES[0], NAMES[2], NAMES[0])])
@pytest.mark.parametrize("width", [50, 60, 80, 200])
def test_several_photographs_are_shown_by_a_line_each(terminal, width, votes):
    lines = [line for line in terminal([(PATH.format(i, i), predict(votes)) for i in (1, 2)], width) if line]
    assert all(cell_len(line) <= width for line in lines) and len(lines) == 5
    for i, line in enumerate(lines[2:4], 1):
        assert f"{i}.jpg" in line and "91.3 %" in line and ("2 of 3" in line) == (len(votes) > 1)
    assert ("experts" in lines[0]) == (len(votes) > 1)
    if width == 80 and len(votes) == 1:
        assert NAMES[0] in lines[2]
    if width == 200:
        assert PATH.format(2, 2) in lines[3] and f"{NAMES[1]} 5.2" in lines[3]


@pytest.mark.parametrize("width", range(60, 200, 7))
def test_the_next_classes_are_shown_with_whole_numbers_or_not_at_all(terminal, width):
    best = Prediction(("a", "bird", "cat", "dog"), SHARES, ("a",))
    (line,) = [line for line in terminal([("x" * 30, best), ("y" * 30, best)], width) if "xx" in line]
    after = line.partition("91.3 %")[2].strip()
    assert after in ("", "bird 5.2", "bird 5.2, cat 2.1", "bird 5.2, cat 2.1, dog 1.4")
    assert after.endswith("dog 1.4") == (width >= 81)


def test_a_pipe_gets_whole_lines_with_all_columns(terminal):
    lines = terminal([(PATH.format(1, 1), predict(NAMES[:2]))], None)
    head, row = [line for line in lines if line][:3:2]
    assert head.split() == ["image", "class", "probability", "then", "experts"]
    then = ", ".join(f"{name} {100 * share:.1f}" for name, share in list(zip(NAMES, SHARES, strict=True))[1:])
    assert row.split("  ", 1)[0].strip() == PATH.format(1, 1) and then in row and row.endswith(", ".join(NAMES[:2]))
