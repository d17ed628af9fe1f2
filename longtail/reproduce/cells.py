"""Cells: one recipe with one seed each, shared by all tables that need the run."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatch
from typing import get_args

from longtail.methods import get_options
from longtail.recipe import Recipe
from longtail.recipes import recipe_for
from longtail.reproduce.rows import Row, Setting, Table
from longtail.reproduce.tables import SCALES

PRECISIONS: tuple[str, ...] = get_args(get_args(Recipe.__annotations__["precision"])[0])


@dataclass(frozen=True)
class Cell:
    """One run of a table: its row and setting, its recipe, and its scale."""

    row: Row
    setting: Setting
    recipe: Recipe
    scale: str

    @property
    def name(self) -> str:
        """Return the name of the cell's file, readable and, by a hash of the recipe, the same in every table."""
        r = self.recipe
        gamma = "" if r.imbalance is None else f"-g{r.imbalance:g}"
        return f"{self.scale}-{r.data}{gamma}-{r.method}-seed{r.seed}-{hash_recipe(r)[:10]}"

    @property
    def label(self) -> str:
        """Return a description for progress messages."""
        r = self.recipe
        return f"{self.row.label}, {r.data} ({r.imbalance_text}), seed {r.seed}, scale {self.scale}"


def hash_recipe(recipe: Recipe) -> str:
    """Compute the sha256 of the values that differ from defaults, so that a field or option added later changes no hash."""
    values, options = recipe.asdict(), get_options(recipe.method)
    changed = {f.name: values[f.name] for f in fields(Recipe) if getattr(recipe, f.name) != f.default}
    changed["options"] = {name: value for name, value in recipe.options.items() if value != options[name].default}
    return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()


def format_scale(scale: str, precision: str) -> str:
    """Return the name of a scale; each precision other than fp32 is a scale of its own."""
    return scale if precision == "fp32" else f"{scale}-{precision}"


def build_cells(
    table: Table, scale: str = "full", seeds: int | None = None, precision: str = "fp32", only: str | None = None
) -> Iterator[Cell]:
    """Yield the cells of a table seed by seed, so that every row has a first number early.

    `only` is a pattern of the labels of rows, of methods, or of the headings of settings; the whole label of a row means
    that row alone, even if it is the name of a method too.
    """
    is_label = only is not None and any(row.label.lower() == only.lower() for row in table.rows)
    for seed in range(seeds or min(table.seeds, SCALES[scale].seeds)):
        for row in (row for row in table.rows if not row.reason):
            for setting in table.settings:
                if not seeds and setting.seeds and seed >= setting.seeds:
                    continue
                names = (row.label,) if is_label else (row.label, row.changes.get("method", ""), setting.heading)
                if only and not any(fnmatch(name.lower(), only.lower()) for name in names):
                    continue
                changes = {**SCALES[scale].changes, **setting.changes, **row.changes}
                recipe = recipe_for(changes.pop("data"), seed=seed, precision=precision, **changes)
                yield Cell(row, setting, recipe, format_scale(scale, precision))
