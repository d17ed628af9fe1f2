"""A run folder of anyone, without a manifest: a report of it ends in one line or a page, whatever its fields hold."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import made_up, made_up_seeds

from longtail import LongtailError
from longtail.report import write_report

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    0.5,
    10**400,
    float("nan"),
    "",
    "x",
    "\x1b[2J",
    "nan",
    [],
    {},
    [1, "a"],
    {"a": 1},
    [[]],
]
JSON = ("results.json", "split.json", "model.json", "environment.json", "recipe.json")


def find_places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each dictionary or list inside a value, with each key or index."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from find_places(value[key])


def check_report(path: Path, out: Path) -> None:
    """Write a report, or be refused in one line without control codes of the terminal."""
    try:
        write_report([path], out, figures="none")
    except LongtailError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000
    else:
        assert "nan %" not in out.read_text()


def change_fields(file: Path, tries: int) -> Iterator[str]:
    """Replace or drop one field at a time; yield what was done, and restore the file at the end."""
    text, generator = file.read_text(), random.Random(file.name)
    for _ in range(tries):
        content = json.loads(text)
        holder, key = generator.choice(list(find_places(content)))
        odd = generator.choice([*ODD, "drop"])
        if odd == "drop":
            del holder[key]
        else:
            holder[key] = odd
        file.write_text(json.dumps(content))
        yield f"{key} becomes {odd}"
    file.write_text(text)


@pytest.mark.parametrize("name", JSON)
def test_any_malformed_field_of_a_run_is_one_line_or_without_effect(name, tmp_path):
    run = made_up(tmp_path / "run", ["a", "b", "c"], [200, 50, 5], tested=3, experts=2).path
    for _ in change_fields(run / name, 15):
        check_report(run, tmp_path / "a.html")


def test_any_malformed_field_of_several_seeds_is_one_line_or_without_effect(tmp_path):
    runs = made_up_seeds(tmp_path / "runs", 2, ["a", "b"], [200, 5], tested=3, experts=1)
    for file in (runs / "seeds.json", runs / "seed1" / "results.json"):
        for _ in change_fields(file, 10):
            check_report(runs, tmp_path / "a.html")


@pytest.mark.parametrize("name", ["metrics.csv", "per_class.csv"])
def test_any_malformed_cell_of_a_table_is_one_line_or_without_effect(name, tmp_path):
    run = made_up(tmp_path / "run", ["a", "b", "c"], [200, 50, 5], tested=3, experts=2).path
    lines, generator = [line.split(",") for line in (run / name).read_text().splitlines()], random.Random(name)
    for _ in range(20):
        changed = [list(line) for line in lines]
        row = generator.choice(changed)
        row[generator.randrange(len(row))] = str(generator.choice(ODD))
        (run / name).write_text("\n".join(map(",".join, changed)) + "\n")
        check_report(run, tmp_path / "a.html")
