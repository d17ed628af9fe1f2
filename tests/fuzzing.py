"""Random command lines of `longtail`, sound and unsound, over a folder of sound and hostile files; training stops at once."""

import contextlib
import inspect
import io
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from unittest.mock import patch

from hypothesis import strategies as st

from longtail import __main__, train
from longtail.commands.app import COMMANDS
from longtail.data.catalog import SOURCES
from longtail.errors import LongtailError
from longtail.methods import METHODS, get_options
from longtail.recipe import describe_fields
from longtail.recipes import RECIPES
from longtail.reproduce.tables import SCALES, TABLES
from tests.data.pictures import class_folders, picture

CODES = {0, 2, 3, 130, 141, 143}
SECONDS = 120  # after which a command hangs
KEPT = ("data", "run", "list.csv", "list.txt", "one.png", "notes", "prior.json", "page.html")  # no command changes them
MADE = re.compile(
    r"run/(report\.html|calibration\.json|export[^/]*|figures|figures/.*)"
)  # beside what commands add to a run


class Outcome(NamedTuple):
    """The exit code and outputs of a command."""

    code: object
    out: str
    err: str


def build_workspace(folder: Path) -> None:
    """Write a tiny data set, lists of it, a trained run, and files that are none."""
    class_folders(folder / "data" / "train", {"ant": 8, "bee": 5})
    class_folders(folder / "data" / "test", {"ant": 2, "bee": 2}, 20)
    paths = sorted(str(path.relative_to(folder)) for path in (folder / "data" / "train").rglob("*.png"))
    (folder / "list.txt").write_text("".join(f"{path} {i % 2}\n" for i, path in enumerate(paths)))
    (folder / "list.csv").write_text("path,label\n" + "".join(f"{path},c{i % 2}\n" for i, path in enumerate(paths)))
    picture(folder / "one.png", 1)
    (folder / "broken.png").write_bytes((folder / "one.png").read_bytes()[:60])
    (folder / "notes").write_text("mine")
    (folder / "page.html").write_text("mine")
    (folder / "prior.json").write_text('{"ant": 1, "bee": 3}')
    (folder / "hierarchy.csv").write_text("class,parent\nant,insect\nbee,insect\n")
    (folder / "empty").mkdir()
    (folder / "empty.csv").touch()
    for name in ("fifo", "fifo.csv", "fifo.html", "fifo.json", "fifo.onnx", "fifo.svg"):
        os.mkfifo(folder / name)
    with contextlib.chdir(folder), contextlib.closing(socket.socket(socket.AF_UNIX)) as unix:
        unix.bind("socket")
    (folder / "loop").symlink_to("loop")
    (folder / "gone.png").symlink_to("nothing")
    train(str(folder / "data"), "ce", out=folder / "run", net="conv4", size=8, epochs=1, batch_size=4, threads=1)
    (folder / "half").mkdir()
    shutil.copy(folder / "run" / "recipe.json", folder / "half")


def fingerprint(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file that commands must leave as they are."""
    files = [path for name in KEPT for path in [folder / name, *(folder / name).rglob("*")] if path.is_file()]
    names = {str(path.relative_to(folder)): path.stat() for path in files}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in names.items() if not MADE.fullmatch(name)}


def refuse_to_train(*_: object, **__: object) -> None:
    """Stand for all training: end after data and recipe are resolved."""
    raise LongtailError("training is left out here")


def hang(number: int, frame: FrameType | None) -> None:
    """Answer the alarm of a command that does not end."""
    raise AssertionError(f"the command hangs in {frame}")


CONNECT = socket.socket.connect


def connect_locally(self: socket.socket, address: Any) -> None:
    """Connect to another process of this machine, such as a worker that decodes images; there is no network."""
    if self.family != socket.AF_UNIX:
        raise OSError(101, "Network is unreachable")
    CONNECT(self, address)


@contextlib.contextmanager
def without_training(folder: Path) -> Iterator[None]:
    """Leave out training, the network and the home folder of the user; commands run in `folder`."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGALRM)}
    environment = {
        "HOME": str(folder / "home"),
        "COLUMNS": "100",
        "HF_HUB_OFFLINE": "1",
        "LONGTAIL_CACHE": str(folder / "cache"),
        "SHELL": "/bin/bash",
    }
    (folder / "home").mkdir(exist_ok=True)
    signal.signal(signal.SIGALRM, hang)
    with (
        patch("longtail.trainer.Trainer.fit", refuse_to_train),
        patch("longtail.seeds.train_in_processes", refuse_to_train),
        patch("huggingface_hub.constants.HF_HUB_OFFLINE", True),
        patch.object(socket.socket, "connect", connect_locally),
        patch.dict(os.environ, environment),
        contextlib.chdir(folder),
    ):
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def run_line(words: list[str]) -> Outcome:
    """Run `longtail WORDS` through its entry point, within `without_training`."""
    out, err = io.StringIO(), io.StringIO()
    signal.alarm(SECONDS)
    try:
        with (
            patch.object(sys, "argv", ["longtail", *words]),
            patch.object(sys, "path", list(sys.path)),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            __main__.main()
    except SystemExit as stop:
        return Outcome(stop.code, out.getvalue(), err.getvalue())
    finally:
        signal.alarm(0)
    raise AssertionError("the command did not exit")


def check_outcome(found: Outcome) -> None:
    """Raise AssertionError unless a command ended with a documented code, and a refusal is one line."""
    code, _, err = found
    assert type(code) is int and code in CODES, found
    assert "Traceback" not in err and "\x1b" not in err, found
    if code == 2:
        assert err.startswith("longtail: error: ") and err.count("\n") == 1 and err.endswith("\n"), found
        assert len(err.removeprefix("longtail: error: ").strip()) >= 4, found


PATHS = [
    *(*KEPT, "broken.png", "empty", "empty.csv", "fifo", "fifo.csv", "fifo.html", "fifo.json", "socket", "loop"),
    *("gone.png", "half", "nothere", "no/such/place", "data/train/ant", "data/test", "run/results.json", "", ".", ".."),
    *("~", "~nosuch", "/dev/null", "/dev/full", "/dev/stdin", "/proc/self/mem", "/root/x", "a" * 300, "new.csv"),
    *("new.html", "new.svg", "new.onnx", "new.parquet", "fifo.svg", "fifo.onnx", "notes/below", "fifo/below"),
    *("hf:owner/name", "data/train", "./data", "run/", "loop/below"),
]
NUMBERS = [
    *("0", "1", "2", "3", "-1", "0.5", "1.0", "1.5", "1e-3", "1e999", "-1e999", "nan", "inf", "-0", "00", "+1", "1_0"),
    *(
        str(2**31),
        str(2**63),
        str(2**64),
        "9" * 400,
        "9" * 5000,
        "1e308",
        "5e-324",
        "0x10",
        "\u00b2",
        "\u0663",
        "100000",
    ),
]
ODD = [
    *("none", "true", "false", "None", "-", "--", "=", ":", "os:path", "nosuch:X", "[bold]x[/]", "[/]", "%s", "{x}"),
    *(
        "\x1b[2Jx",
        "\u202egnp",
        "e\u0301\u4e2d\U0001f98a",
        "\udce9",
        "a\nb",
        "\t",
        " ",
        "*",
        "ecl ce",
        "'",
        '"',
        "\\",
        "$HOME",
    ),
]
WORDS = [
    *(*METHODS, *RECIPES, *SOURCES, *TABLES, *SCALES, "all", "resnet8", "conv4", "resnet32", "sgd", "adamw", "bf16"),
    *(
        "tf32",
        "cpu",
        "cuda",
        "cuda:0",
        "cpu:1",
        "auto",
        "csv",
        "markdown",
        "onnx",
        "safetensors",
        "ensemble",
        "uniform",
    ),
    *("balanced", "top1", "few", "steps", "9m", "0s", "1.5h", "fast", "raw", "timm", "mobilenetv3_small_050", "ecl*"),
]
RUNS, IMAGES = (
    st.sampled_from(["run", "./run", "run/", "half"]),
    st.sampled_from(["one.png", "data", "list.csv", "broken.png"]),
)
SOUND = {  # arguments that fit, by command
    "train": st.tuples(st.sampled_from(["data", "digits-lt", "list.csv"]), st.sampled_from([*METHODS])),
    "evaluate": st.tuples(RUNS),
    "predict": st.tuples(RUNS, IMAGES),
    "calibrate": st.tuples(RUNS, st.sampled_from(["data/test", "list.csv", "data"])),
    "report": st.tuples(RUNS),
    "figure": st.tuples(st.sampled_from(["accuracy", "curves", "experts"]), RUNS),
    "inspect": st.tuples(st.sampled_from(["data", "list.csv", "digits-lt"])),
    "export": st.tuples(RUNS),
    "methods": st.tuples(st.sampled_from([*METHODS])),
    "recipes": st.tuples(st.sampled_from([*RECIPES])),
    "reproduce": st.tuples(st.sampled_from([*TABLES, "claims", "verify", "accept"])),
    "label": st.tuples(RUNS, IMAGES),
    "suspects": st.tuples(RUNS),
    "distill": st.tuples(RUNS),
    "push": st.tuples(RUNS, st.sampled_from(["me/model", "model", "data"])),  # without the network
    "cache": st.just(()),
}


NEW = ["new", "new.csv", "new.html", "new.svg", "new.onnx", "new.parquet"]
FITTING = {
    "--cache": ["data", "cache", "notes", "fifo"],
    "--root": [".", "data", "/", "no/such/place"],
    "--out": [*NEW, *NEW, *NEW, *PATHS],
    "--val": ["list.csv", "list.txt", "data/test", "fifo.csv"],
    "--test": ["list.csv", "list.txt", "data/test", "fifo.csv"],
    "--data": ["data", "list.csv"],
    "--figures": ["none", "fast"],
    "--target-prior": ["uniform", "train", "prior.json", "fifo.json", "estimate"],
    "--hierarchy": ["hierarchy.csv", "prior.json", "fifo.csv", "list.csv"],
    "--by": ["all", "group", "class", "interpolated"],
    "--score": ["pas", "lac", "aps", "raps"],
    "--coverage": ["0.5", "0.6", "0.9"],
    "--device": ["cpu", "auto"],
    "--net": ["resnet8", "conv4", "mobilenetv3_small_050"],
    "--recipe": [*RECIPES],
    "--scale": [*SCALES],
    "--format": ["text", "markdown", "csv", "onnx", "safetensors"],
    "--only": ["ecl*", "*", "ce"],
    "--budget": ["0s", "1s", "9m"],
    "--ledger": ["ledger", "data", "notes", "fifo"],
    "--weights": ["timm", "run/model.safetensors", "run/checkpoint.pt", "fifo", "notes", "broken.png"],
    "--select": ["balanced", "few", "top1"],
    "--milestones": ["0.5", "0.9"],
    "--views": ["custom-8", "cifar", "digits"],
    "--expert": ["1", "2", "ensemble"],
}


def list_flags(command: str) -> dict[str, Any]:
    """Return the flags of a command and their types; for train, without those of recipes and methods."""
    module, _, name = COMMANDS[command][0].partition(":")
    parameters = inspect.signature(getattr(import_module(f"longtail.commands.{module}"), name)).parameters.values()
    return {format_flag(p.name): p.annotation for p in parameters if p.kind is p.KEYWORD_ONLY}


def format_flag(name: str) -> str:
    """Return the flag of a Python name."""
    return f"--{name.replace('_', '-')}"


def list_train_flags(method: str) -> dict[str, Any]:
    """Return the flags of recipes and of one method, and their types."""
    found = {format_flag(name): kind for name, (kind, *_) in describe_fields().items() if name != "options"}
    return found | {format_flag(option.name): option.type for option in get_options(method).values()}


FLAGS = {command: list_flags(command) for command in SOUND}
EVERY_FLAG = sorted(
    {flag for flags in FLAGS.values() for flag in flags} | {"--help", "-h", "--version", "--nosuch", "-x"}
)
EVERY_FLAG += sorted({flag for method in METHODS for flag in list_train_flags(method)})
values = st.one_of(
    *(st.sampled_from(kind) for kind in (PATHS, NUMBERS, ODD, WORDS)),
    *(st.integers(-3, 200).map(str), st.floats(0, 1).map(str)),
    st.text(st.characters(exclude_characters="\0"), max_size=12),
)


def fit_value(flag: str, kind: Any) -> st.SearchStrategy[str]:
    """Return values that a flag of a type takes, or nearly."""
    text = str(kind)
    if flag in FITTING:
        return st.sampled_from(FITTING[flag])
    if "Literal" in text:
        return st.sampled_from(re.findall(r"'(\w+)'", text) or ["x"])
    if "int" in text:
        return st.integers(1, 8).map(str)
    return st.floats(0, 1).map(str) if "float" in text else st.sampled_from(PATHS)


@st.composite
def draw_flag(draw: st.DrawFn, flags: dict[str, Any], is_sound: bool) -> list[str]:
    """Draw one of `flags` with a value that fits or, unless all is to be sound, any flag, any value, in any form."""
    others = not is_sound and draw(st.integers(0, 3)) == 0
    flag = draw(st.sampled_from(EVERY_FLAG if others or not flags else sorted(flags)))
    kind = flags.get(flag, str)
    value = draw(fit_value(flag, kind) if is_sound or draw(st.booleans()) else values)
    if "bool" in str(kind) and (is_sound or draw(st.booleans())):
        return [flag]
    forms = {"equal": [f"{flag}={value}"], "two": [flag, value], "alone": [flag], "twice": [flag, value, flag, value]}
    return forms[draw(st.sampled_from(["equal", "two"] if is_sound else [*forms]))]


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """Draw the words of a command line; about half are sound: arguments and flags of the command, with values that fit."""
    is_sound = draw(st.booleans())
    command = draw(st.sampled_from([*SOUND, "train", "train", "predict"] + ["trian", ""] * (not is_sound)))
    fitting = SOUND.get(command, st.just(()))
    words = list(draw(fitting if is_sound or draw(st.booleans()) else st.lists(values, max_size=3)))
    flags = dict(FLAGS.get(command, {}))
    if command == "train":
        flags |= list_train_flags(words[1] if len(words) > 1 and words[1] in METHODS else "ecl")
    for _ in range(draw(st.integers(0, 3))):
        added = draw(draw_flag(flags, is_sound))
        if not is_sound or added[0].partition("=")[0] not in words:
            place = draw(st.integers(0, len(words))) if not is_sound else len(words)
            words[place:place] = added
    return [command, *words] if command else words
