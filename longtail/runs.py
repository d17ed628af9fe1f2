"""The run folder: every file appears whole, by writing a temporary one and renaming it."""

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from longtail.data import Split
from longtail.errors import LongtailError, check_letters, expanded
from longtail.nets.weights import UNREADABLE, damaged_part
from longtail.recipe import Recipe


class Busy(LongtailError):
    """Another process is training the run."""


class RunFolder:
    """Reads and writes the files of one run; raises LongtailError with the path where that fails."""

    def __init__(self, path: str | Path):
        if not isinstance(path, str | Path):
            raise LongtailError(f"a run folder is named by its path, not by {path!r}")
        self.path = expanded(path)

    @classmethod
    def create(cls, path: str | Path) -> "RunFolder":
        """A new folder; raises LongtailError if it is there already or cannot be made."""
        run = cls(path)
        check_letters(run.path)
        try:
            run.path.mkdir(parents=True)
        except FileExistsError:
            raise run.exists_already() from None
        except OSError as error:
            raise LongtailError(
                f"cannot make the run folder {run.path}: {error.strerror}; choose another --out"
            ) from error
        return run

    @classmethod
    def claim(cls, path: str | Path, recipe: Recipe, split: Split, resume: bool) -> "RunFolder":
        """A new run of this recipe and split, or with resume the one there; raises LongtailError if that is another's."""
        run = cls(path)
        if resume and run.path.is_dir():
            if not run.is_barely_begun():
                run = cls.open(path)
                run.check_same(recipe, split)
                return run
        else:
            run = cls.create(path)
        run.write_json("split.json", split.describe())
        run.write_json("recipe.json", recipe.asdict())
        return run

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run meanwhile; raises Busy if one does already."""
        with ExitStack() as stack:
            try:
                held = os.open(self.path, os.O_RDONLY)
                stack.callback(os.close, held)
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for litter in self.path.glob(".*.tmp"):  # of a process that was killed while writing
                    litter.unlink()
            except BlockingIOError:
                raise Busy(f"{self.path} is being trained by another process; choose another --out") from None
            except OSError as error:
                raise LongtailError(f"cannot train in {self.path}: {error}; what is there is untouched") from error
            yield

    def is_barely_begun(self) -> bool:
        """Whether it was killed before its recipe was written."""
        return all(file.name == "split.json" or file.name.endswith(".tmp") for file in self.path.iterdir())

    def check_same(self, recipe: Recipe, split: Split) -> None:
        """Raise LongtailError if the run was begun with another recipe or on other images."""
        with self.as_written("recipe.json"):  # fields that are newer than the run take their defaults
            there, here = Recipe(**self.read_json("recipe.json")).asdict(), recipe.asdict()
        for one in (there, here):
            one |= one.pop("options")
        changed = [key for key in there | here if there.get(key) != here.get(key)]
        if changed:
            what = "; ".join(f"{key} is {there.get(key)!r} there and {here.get(key)!r} here" for key in changed)
            raise LongtailError(f"{self.path} was begun with another recipe: {what}. Choose another --out")
        for part in split.parts:
            self.check_images(split, part)

    def check_images(self, split: Split, part: str) -> None:
        """Raise LongtailError unless the images of a part are those the run was begun with."""
        with self.as_written("split.json"):
            same = self.read_json("split.json")[f"{part}_sha256"] == split.digest(part)
        if not same:
            raise LongtailError(
                f"{self.path} was begun with other {part} images than those found now; restore them, say where they lie (--root, "
                "or --data of evaluate), or choose another --out"
            )

    def load_data(self, recipe: Recipe, root: str | None = None) -> Split:
        """The images it was trained and tested on, found as in training unless told; raises LongtailError if they are others."""
        split = recipe.load(root or self.read_json("environment.json").get("root"))
        self.check_images(split, "test")
        return split

    def exists_already(self) -> LongtailError:
        """The error for a run that is not to be overwritten."""
        if not self.path.is_dir():
            return LongtailError(f"{self.path} is a file, not a run folder; choose another --out")
        return LongtailError(
            f"{self.path} exists already and is left as it is; continue it with --resume or choose another --out"
        )

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing folder; raises LongtailError if it holds no run."""
        run = cls(path)
        if (run.path / "seeds.json").is_file():
            raise LongtailError(
                f"{run.path} holds the runs of several seeds; name one of them, such as {run.path}/seed0"
            )
        if not (run.path / "recipe.json").is_file():
            raise LongtailError(f"{run.path} is not a run folder: it has no recipe.json")
        return run

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return (self.path / name).exists()

    def write_json(self, name: str, content: dict) -> None:
        """Write a dictionary."""
        self.write_text(name, json.dumps(content, indent=2) + "\n")

    def read_json(self, name: str) -> dict:
        """Read a dictionary."""
        try:
            found = json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LongtailError(f"{self.path / name} cannot be read: {error}") from error
        if not isinstance(found, dict):
            raise LongtailError(f"{self.path / name} is not as longtail wrote it")
        return found

    @contextmanager
    def as_written(self, name: str) -> Iterator[None]:
        """Turn whatever a changed file of the run leads to into a LongtailError that names it."""
        try:
            yield
        except LongtailError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            raise LongtailError(f"{self.path / name} is not as longtail wrote it ({what})") from error

    def write_text(self, name: str, content: str) -> None:
        """Write a text file in UTF-8; what is none, such as in the names of files, is spelt out."""
        with self.replacing(name) as temporary:
            temporary.write_text(content, encoding="utf-8", errors="backslashreplace")

    def write_csv(self, name: str, rows: list[dict]) -> None:
        """Write rows under the union of their keys; None becomes an empty cell."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write_text(name, text.getvalue())

    def read_csv(self, name: str) -> list[dict[str, str]]:
        """The rows of a table, cells as text."""
        with self.as_written(name):
            try:
                text = (self.path / name).read_text(encoding="utf-8")
            except OSError as error:
                raise LongtailError(f"{self.path / name} cannot be read: {error.strerror}") from error
            return list(csv.DictReader(io.StringIO(text, newline="")))

    def write_tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write tensors as safetensors."""
        with self.replacing(name) as temporary:
            temporary.write_bytes(save({key: value.detach().cpu().contiguous() for key, value in tensors.items()}))

    def read_tensors(self, name: str) -> dict[str, Tensor]:
        """Read safetensors."""
        try:
            return load_file(self.path / name)
        except UNREADABLE as error:
            raise LongtailError(f"{self.path / name} is not a readable safetensors file: {error}") from error

    def save_checkpoint(self, state: dict) -> None:
        """Replace the checkpoint."""
        content = io.BytesIO()
        torch.save(state, content)
        with self.replacing("checkpoint.pt") as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self) -> dict:
        """The checkpoint; never runs code of the file."""
        path = self.path / "checkpoint.pt"
        refused = LongtailError(
            f"{path} is not a checkpoint of longtail and was not loaded; take it away to begin anew"
        )
        try:
            damaged = damaged_part(path)
            state = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
        except UNREADABLE as error:
            raise refused from error
        if damaged:
            raise LongtailError(f"{path} is damaged (in {damaged}) and was not loaded; take it away to begin anew")
        if not isinstance(state, dict) or state.keys() != {"stage", "epoch", "rows", "method", "optimiser", "recipe"}:
            raise refused
        with self.as_written("recipe.json"):  # either may be older than a field of the recipe
            same = Recipe(**state["recipe"]) == Recipe(**self.read_json("recipe.json"))
        if not same:
            raise LongtailError(
                f"{path} belongs to a run of another recipe and was not loaded; take it away to begin anew"
            )
        return state

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A temporary path that takes the place of `name` once it is written and on the disk."""
        target = self.path / name
        temporary = target.with_name(f".{name}.{os.getpid()}.tmp")
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            raise LongtailError(f"cannot write {target}: {error}; what was there before is untouched") from error
        finally:
            temporary.unlink(missing_ok=True)
