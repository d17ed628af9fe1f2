"""The folder of one run: create it, lock it, and check that a resumed run is still the same run."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from difflib import get_close_matches
from pathlib import Path

from torch import Tensor

from longtail.data import Split, format_data_name
from longtail.errors import LongtailError, check_utf8_path, expand_path
from longtail.hub import is_hub_name
from longtail.recipe import Recipe
from longtail.runs import files

MANIFEST = "manifest.json"  # the sha256 of every file that a finished run is read from


def default_run_path(recipe: Recipe) -> Path:
    """Return where a run goes by default: runs/DATA-METHOD-gGAMMA-seedN, without -gGAMMA for data as they are."""
    gamma = "" if recipe.imbalance is None else f"-g{recipe.imbalance:g}"
    method = recipe.method.rpartition(":")[2]
    return Path("runs") / f"{format_data_name(recipe.data)}-{method}{gamma}-seed{recipe.seed}"


class Busy(LongtailError):
    """Another process is training the run."""


class RunFolder:
    """Reads and writes the files of one run; raises LongtailError with the path where that fails."""

    def __init__(self, path: str | Path):
        if not isinstance(path, str | Path):
            raise LongtailError(f"a run folder is named by its path, not by {path!r}")
        self.path = expand_path(path)
        self.origin: str | None = None  # name of a run of the hub, in whose cache nothing is written

    @classmethod
    def create(cls, path: str | Path) -> "RunFolder":
        """Make a new folder; raises LongtailError if it exists already or cannot be made."""
        run = cls(path)
        check_utf8_path(run.path)
        try:
            run.path.mkdir(parents=True)
        except FileExistsError:
            raise run.already_exists_error() from None
        except OSError as error:
            raise run.cannot_make_error(error) from error
        return run

    def check_new(self, resume: bool) -> None:
        """Raise LongtailError if a new run would overwrite the folder; with `resume` an existing one goes on."""
        try:
            is_taken = self.path.exists() and not (resume and self.path.is_dir())
        except OSError as error:
            raise self.cannot_make_error(error) from error
        if is_taken:
            raise self.already_exists_error()

    @classmethod
    def claim(cls, path: str | Path, recipe: Recipe, split: Split, resume: bool) -> "RunFolder":
        """Begin a new run of this recipe and split or, with `resume`, reopen the one in the folder.

        Raises LongtailError if the folder holds a run of another recipe or of other images.
        """
        run = cls(path)
        if resume and run.path.is_dir():
            if not run.is_unstarted():
                run = cls.open(path)
                run.check_recipe(recipe, split)
                return run
        else:
            run = cls.create(path)
        run.write_json("split.json", split.describe())
        run.write_json("recipe.json", recipe.asdict())
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """Open an existing run; raises LongtailError if the folder holds none."""
        if is_hub_name(path):
            raise LongtailError(
                f"{path} is of the hub, which predict, evaluate, export, try and longtail.load take only"
            )
        run = cls(path)
        if run.has("seeds.json"):
            raise LongtailError(
                f"{run.path} holds the runs of several seeds; name one of them, such as {run.path}/seed0"
            )
        if not run.has("recipe.json"):
            raise run.not_a_run_error()
        return run

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run inside the context; raises Busy if one already does."""
        with ExitStack() as stack:
            try:
                descriptor = os.open(self.path, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for leftover in self.path.glob(".*.tmp"):  # a process was killed while it wrote them
                    leftover.unlink()
            except BlockingIOError:
                raise Busy(f"{self.path} is being trained by another process; choose another --out") from None
            except OSError as error:
                raise LongtailError(f"cannot train in {self.path}: {error}; what is there is untouched") from error
            yield

    def is_unstarted(self) -> bool:
        """Return whether the run was killed before its recipe was written."""
        return all(file.name == "split.json" or file.name.endswith(".tmp") for file in self.path.iterdir())

    def check_recipe(self, recipe: Recipe, split: Split) -> None:
        """Raise LongtailError if the run was begun with another recipe or on other images."""
        there, here = self.read_recipe().asdict(), recipe.asdict()
        for values in (there, here):
            values |= values.pop("options")
        changed = [key for key in there | here if there.get(key) != here.get(key)]
        if changed:
            what = "; ".join(f"{key} is {there.get(key)!r} there and {here.get(key)!r} here" for key in changed)
            raise LongtailError(f"{self.path} was begun with another recipe: {what}. Choose another --out")
        for subset in split.subsets:
            self.check_images(split, subset)

    def check_images(self, split: Split, subset: str) -> None:
        """Raise LongtailError unless the images of a subset are those the run was begun with."""
        with self.report_damage("split.json"):
            is_same = self.read_json("split.json")[f"{subset}_sha256"] == split.digest(subset)
        if not is_same:
            raise LongtailError(
                f"{self.path} was begun with other {subset} images than those found now; restore them, say where they "
                "are (--root, or --data of evaluate), or choose another --out"
            )

    def read_recipe(self) -> Recipe:
        """Return the recipe of the run; fields that are newer than the run take their defaults."""
        values = self.read_json("recipe.json")
        with self.report_damage("recipe.json"):
            try:
                return Recipe(**values)
            except LongtailError as error:
                hint = ""
                package = self.has("environment.json") and self.read_json("environment.json").get("method_package")
                if package:
                    hint = f". {self.path} was trained with package {package['name']} {package['version']}: install it"
                raise LongtailError(f"{self.path / 'recipe.json'}: {error}{hint}") from error

    def not_a_run_error(self) -> LongtailError:
        """Return the error for a path that holds no run; it names the nearest run, or the runs inside."""
        parent = self.path.parent
        if not self.path.exists():
            near = get_close_matches(self.path.name, (p.name for p in parent.glob("*")), n=1) if parent.is_dir() else []
            return LongtailError(
                f"there is no folder {self.path}" + (f"; did you mean {parent / near[0]}?" if near else "")
            )
        inside = sorted(str(path.parent) for path in self.path.glob("*/recipe.json"))[:3]
        hint = (
            f"; it holds the runs {', '.join(inside)}"
            if inside
            else "; name a folder that longtail train wrote as --out"
        )
        return LongtailError(f"{self.path} is not a run folder: it has no recipe.json{hint}")

    def cannot_make_error(self, error: OSError) -> LongtailError:
        """Return the error for a path at which no folder can be made."""
        return LongtailError(f"cannot make the run folder {self.path}: {error.strerror}; choose another --out")

    def already_exists_error(self) -> LongtailError:
        """Return the error for a run that must not be overwritten."""
        if not self.path.is_dir():
            return LongtailError(f"{self.path} is a file, not a run folder; choose another --out")
        is_run = self.has("recipe.json") or self.is_unstarted() or any(self.path.glob("seed*/recipe.json"))
        there = "continue it with --resume or " if is_run else ""
        return LongtailError(f"{self.path} exists already and is left as it is; {there}choose another --out")

    def has(self, name: str) -> bool:
        """Return whether the folder holds a file of this name; raises LongtailError if the folder cannot be searched."""
        try:
            return (self.path / name).exists()
        except PermissionError as error:
            raise LongtailError(f"{self.path / name} cannot be read: {str(error.strerror).lower()}") from error

    def is_finished(self) -> bool:
        """Return whether the run was trained to the end."""
        return self.has("results.json")

    def write_manifest(self, names: Iterable[str]) -> None:
        """Write `manifest.json`, the last file of a finished run: the sha256 of each of the named files."""
        self.write_json(MANIFEST, {"sha256": {name: files.hash_file(self.path / name) for name in names}})

    def verify(self, name: str) -> str:
        """Return the sha256 of a file; raises LongtailError unless a finished run's manifest holds the same.

        Only a finished run has a manifest. Runs of version 0.1 have none.
        """
        digest = files.hash_file(self.path / name)
        if self.is_finished() and self.has(MANIFEST):
            with self.report_damage(MANIFEST):
                expected = files.read_json(self.path / MANIFEST)["sha256"][name]
            if expected != digest:
                raise LongtailError(
                    f"{self.path / name} is not as longtail wrote it: its sha256 is not the one in {MANIFEST}; restore "
                    "both from a copy, or train the run again"
                )
        return digest

    def read_json(self, name: str) -> dict:
        """Read a JSON file of the run."""
        self.verify(name)
        return files.read_json(self.path / name)

    def check_own(self) -> None:
        """Raise LongtailError for a run of the hub, which lies in the hub's cache."""
        if self.origin is not None:
            raise LongtailError(
                f"{self.origin} is of the hub, and nothing is written into its cache; copy {self.path}, or name a file by --out"
            )

    def write_json(self, name: str, content: dict) -> None:
        """Write a JSON file of the run."""
        self.check_own()
        files.write_json(self.path / name, content)

    def read_csv(self, name: str) -> list[dict[str, str]]:
        """Read a CSV file of the run, every cell as text."""
        self.verify(name)
        return files.read_csv(self.path / name)

    def write_csv(self, name: str, rows: list[dict]) -> None:
        """Write a CSV file of the run."""
        self.check_own()
        files.write_csv(self.path / name, rows)

    def read_tensors(self, name: str) -> dict[str, Tensor]:
        """Read a safetensors file of the run."""
        self.verify(name)
        return files.read_tensors(self.path / name)

    def write_tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write a safetensors file of the run."""
        self.check_own()
        files.write_tensors(self.path / name, tensors)

    def report_damage(self, name: str) -> AbstractContextManager[None]:
        """Return a context in which any error from a changed file of the run names that file."""
        return files.report_damage(self.path / name)
