"""The entry of the command line: runs one command, and turns an error into one line and an exit code."""

import contextlib
import errno
import os
import signal
import sys
from threading import Timer
from typing import NoReturn

from cyclopts import App, CycloptsError, Group, UnknownOptionError, UnusedCliTokensError
from rich.console import Console

from longtail.commands.flags import COMPLETION, name_flag
from longtail.commands.streams import CLOSED_PIPE, Output, find_fault, guard_streams
from longtail.commands.train import add_method_flags, train
from longtail.commit import describe_version
from longtail.errors import LongtailError, LostProcess, announce_stop, escape_controls, mark_command_line, unknown_name
from longtail.methods import METHODS, get_options
from longtail.ranks import get_rank, get_world_size

REPEAT_AFTER = 0.1  # seconds until a swallowed stop is sent again

GROUPS = {  # groups of the help, with import path and help of each command
    "From images to a model": {
        "inspect": ("inspect:inspect", "Inspect a data set before training: counts, faults, duplicates, advice."),
        "train": ("train:train", "Train a method on a data set, evaluate the model, and keep the run in a new folder."),
        "methods": ("listings:methods", "List the methods, or show one with its options, defaults and sources."),
        "recipes": ("listings:recipes", "List the recipes, or show one."),
        "cache": ("cache:cache", "List the cached features of frozen encoders, or remove them."),
    },
    "What a run is worth": {
        "report": ("report:report", "Write report.html for a finished run, or for several side by side."),
        "figure": ("report:figure", "List the figures, or draw one from finished runs and save its numbers."),
        "evaluate": (
            "evaluate:evaluate",
            "Test the model of a finished run again and print its table; write no file.",
        ),
    },
    "Using a model": {
        "predict": ("predict:predict", "Predict the classes of images: files, folders, lists or tables of paths."),
        "calibrate": (
            "calibrate:calibrate",
            "Calibrate a finished run, for probabilities and for sets that hold the class as often as asked.",
        ),
        "try": (
            "tryout:try_run",
            "Open a page on this machine that classifies a photograph: classes, votes, nearest images.",
        ),
        "export": (
            "export:export",
            "Export the model of a finished run as ONNX, checked against PyTorch, or as safetensors.",
        ),
        "push": ("push:push", "Push a finished run to the Hugging Face hub, with a model card made from the run."),
    },
    "Better labels, smaller models": {
        "label": ("label:label", "Choose which unlabeled images to label next: uncertain, rare, unlike each other."),
        "suspects": ("suspects:suspects", "Find training images whose labels are probably wrong."),
        "distill": ("distill:distill", "Distill the experts of a finished run into one network, as a run of its own."),
    },
    "The paper": {
        "reproduce": (
            "reproduce:reproduce_command",
            "Train the missing runs of a table or figure of the paper, and show it.",
        ),
    },
}
COMMANDS = {name: entry for commands in GROUPS.values() for name, entry in commands.items()}
USER_FAULTS = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM)  # of paths, where no module names them better


def build_app(tokens: list[str]) -> App:
    """Return the application, in which `train` has the flags of the method that the tokens name.

    Raises LongtailError for an unknown command or method.
    """
    if tokens and not tokens[0].startswith("-") and tokens[0] not in COMMANDS:
        raise unknown_name("command", tokens[0], COMMANDS)
    app = App(
        name="longtail",
        help="Long-tailed image recognition.",
        version=describe_version,
        console=Console(quiet=get_rank() > 0),  # only rank 0 prints
        suppress_keyboard_interrupt=False,
    )
    app.register_install_completion_command(COMPLETION, help="Let the shell complete commands, flags and names on Tab.")
    app["--help"].help = "Show this page, or that of a command."
    app["--version"].help = "Show the version and, in a clone, the commit."
    last = Group("Help", sort_key=len(GROUPS))
    for flag in ("--help", "--version", "--install-completion"):
        app[flag].group = (last,)
    for number, (title, commands) in enumerate(GROUPS.items()):
        group = Group(title, sort_key=number)
        for place, (name, (path, text)) in enumerate(commands.items()):
            command = add_method_flags(train, tokens) if name == "train" else f"longtail.commands.{path}"
            app.command(command, name=name, help=text, group=group, sort_key=place)
    return app


def format_error(error: Exception) -> str:
    """Return an error as one line with flags as the user types them; for an unknown flag, the nearest one is named."""
    if isinstance(error, OSError):
        name, reason = str(error.filename), (error.strerror or "").lower()
        is_long = error.errno == errno.ENAMETOOLONG
        error = LongtailError(
            f"{name[:60]}... cannot be a path: {reason}" if is_long else f"{name} cannot be used: {reason}"
        )
    if isinstance(error, UnknownOptionError):
        known = [name for argument in error.argument_collection for name in argument.names if name.startswith("--")]
        flag = (error.token.keyword or error.token.value).partition("=")[0]
        command = " ".join(["longtail", *(error.command_chain or ())])
        takes_options = command == "longtail train"
        error = unknown_name("flag", flag, known, f"`{command} --help` lists all flags")
        option = flag.removeprefix("--").removeprefix("no-").replace("-", "_")
        if takes_options and (methods := [method for method in METHODS if option in get_options(method)]):
            error = LongtailError(f"{flag} is an option of {', '.join(methods)}, not of this method")
    if isinstance(error, UnusedCliTokensError):
        words = " ".join(error.unused_tokens or ())
        error = LongtailError(
            f"no place for: {words}; a flag of several numbers is repeated, as in --milestones 0.8 --milestones 0.9"
        )
    return escape_controls(name_flag(" ".join(str(error).split())))


def terminate(*_: object) -> NoReturn:
    """Raise KeyboardInterrupt on SIGTERM, so that the run stops as on Ctrl-C and keeps its finished epochs."""
    raise KeyboardInterrupt("SIGTERM")


def repeat_stop(lost: "sys.UnraisableHookArgs") -> None:
    """Send a stop again that Python swallowed, as inside a fork or a finalizer; print any other swallowed exception."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        return sys.__unraisablehook__(lost)
    number = signal.SIGTERM if lost.exc_value.args else signal.SIGINT
    again = Timer(REPEAT_AFTER, lambda: os.kill(os.getpid(), number))
    again.daemon = True
    again.start()


def report_error(error: Exception) -> None:
    """Print an error on one line on standard error."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun stops the other ranks, which must finish their lines
    if get_rank() == 0 or isinstance(error, LostProcess):
        with contextlib.suppress(OSError):
            print(f"longtail: error: {format_error(error)}", file=sys.stderr, flush=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, torch on the CPU or torch on a GPU could not allocate memory."""
    words = str(error)
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def run_command(tokens: list[str], outputs: list[Output]) -> int:
    """Run one command and return the exit code; raises what is neither an error of the user nor of the outputs."""
    try:
        code = build_app(tokens)(tokens, exit_on_error=False, print_error=False, result_action="return_value") or 0
        error: BaseException | None = None
    except (LongtailError, CycloptsError) as bad_input:
        code, error = 2, bad_input
    except (MemoryError, RuntimeError) as failure:
        if not is_out_of_memory(failure):
            raise
        code, error = 2, LongtailError(f"out of memory ({failure}); ask for a smaller --batch-size, --size or network")
    except (OSError, SystemExit) as stop:  # rich answers a closed pipe with SystemExit
        code, error = 2, stop
    fault = find_fault(outputs)
    if isinstance(fault, BrokenPipeError):
        return CLOSED_PIPE
    if fault:
        code, error = 2, fault
    if isinstance(error, SystemExit) or (isinstance(error, OSError) and error.errno not in USER_FAULTS):
        raise error  # a bug, not bad input
    if isinstance(error, Exception):
        report_error(error)
    return code


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit.

    The exit code is 0; 2 for bad input and for output that cannot be written, with one line on standard error; 3 if some
    images cannot be read; 130 after Ctrl-C; 141, without a word, if nobody reads the output anymore; 143 after SIGTERM.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, terminate)
    sys.unraisablehook = repeat_stop
    with guard_streams() as outputs, mark_command_line():
        try:
            code = run_command(tokens, outputs)
        except KeyboardInterrupt as stop:
            code = 143 if stop.args else 130
            reason = (
                "stopped by torchrun, whose lines say which process ended" if get_world_size() > 1 else "interrupted"
            )
            if get_rank() == 0:
                with contextlib.suppress(OSError):
                    announce_stop(reason, code, tokens)
    raise SystemExit(code)
