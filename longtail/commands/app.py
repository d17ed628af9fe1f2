"""The entry of the command line: finds the command, runs it, and turns errors into one line and an exit code.

Commands are imported when they are called, so that help, completion and errors of typing do not load torch.
"""

import errno
import io
import signal
import sys
from typing import NoReturn

from cyclopts import App, CycloptsError, UnknownOptionError
from rich.console import Console

from longtail import __version__
from longtail.commands.flags import COMPLETION, name_flag
from longtail.commands.train import add_method_flags, train
from longtail.errors import LongtailError, LostProcess, announce_stop, unknown_name
from longtail.methods import METHODS, get_options
from longtail.ranks import get_rank, get_world_size

COMMANDS = {  # import path and help of each
    "evaluate": ("evaluate:evaluate", "Test a finished run's model again, and print its table; nothing is written."),
    "predict": ("predict:predict", "Predict the classes of images: files, folders, lists or tables of paths."),
    "export": ("export:export", "Write a finished run's model as ONNX, compared with PyTorch, or as safetensors."),
    "report": ("report:report", "Write report.html on a finished run, or on several side by side."),
    "figure": ("report:figure", "List the figures, or draw one of finished runs, with its numbers beside it."),
    "inspect": ("inspect:inspect", "Look at a data set without training: counts, faults, duplicates, advice."),
    "methods": ("listings:methods", "List the methods, or show one with its options, defaults and sources."),
    "recipes": ("listings:recipes", "List the recipes, or show one."),
    "reproduce": (
        "reproduce:reproduce_command",
        "Run the missing cells of a table or figure of the paper, and show it.",
    ),
}


def build_app(tokens: list[str]) -> App:
    """Return the application; `train` has the flags of the method, data set and recipe that the tokens name."""
    if tokens and not tokens[0].startswith("-") and tokens[0] not in ("train", *COMMANDS):
        raise unknown_name("command", tokens[0], ["train", *COMMANDS])
    app = App(
        name="longtail",
        help="Long-tailed image recognition.",
        version=__version__,
        console=Console(quiet=get_rank() > 0),  # of several processes only rank 0 prints
        suppress_keyboard_interrupt=False,
    )
    app.register_install_completion_command(COMPLETION, help="Let the shell complete commands, flags and names on Tab.")
    app.command(add_method_flags(train, tokens), name="train")
    for name, (path, text) in COMMANDS.items():
        app.command(f"longtail.commands.{path}", name=name, help=text)
    return app


def format_error(error: Exception) -> str:
    """Return an error on one line; an unknown flag lists the known ones, and a wrong value names the flag as typed."""
    if isinstance(error, OSError):
        error = LongtailError(f"{str(error.filename)[:60]}... cannot be a path: {(error.strerror or '').lower()}")
    if isinstance(error, UnknownOptionError):
        known = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        flag = (error.token.keyword or error.token.value).partition("=")[0]
        error = unknown_name("flag", flag, known)
        option = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
        if owners := [method for method in METHODS if option in get_options(method)]:
            error = LongtailError(f"{flag} is an option of {', '.join(owners)}, not of the method asked for")
    return name_flag(" ".join(str(error).split()))


def terminate(*_) -> NoReturn:
    """Answer SIGTERM as Ctrl-C: the run stops and keeps its finished epochs."""
    raise KeyboardInterrupt("SIGTERM")


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit.

    Exit codes: 0; 2 for bad input, with one line on standard error; 3 if some images could not be predicted; 130 after
    Ctrl-C and 143 after SIGTERM.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be bytes that no terminal can show
    try:
        code = build_app(tokens)(tokens, exit_on_error=False, print_error=False, result_action="return_value") or 0
    except (LongtailError, CycloptsError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            raise  # not an error of typing
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun stops the others, whose own lines must come out whole
        if get_rank() == 0 or isinstance(error, LostProcess):
            print(f"longtail: error: {format_error(error)}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as stop:
        code = 143 if stop.args else 130
        why = "stopped by torchrun, whose own lines say which process ended" if get_world_size() > 1 else "interrupted"
        if get_rank() == 0:
            announce_stop(why, code)
    raise SystemExit(code)
