"""Standard output and standard error: control codes in names, full disks, and pipes that nobody reads."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

from rich import control

from longtail.errors import CONTROLS, LongtailError

CLOSED_PIPE = 141  # exit code, as a shell reports a program that SIGPIPE ends
NAMES = {"stdout": "standard output", "stderr": "standard error"}


class Output:
    """Standard output or standard error, which remembers the first error of writing; all else is of the stream itself."""

    def __init__(self, stream: Any, name: str):
        self.stream, self.name = stream, name
        self.fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with self.remember_fault():
            return self.stream.write(text)

    def flush(self) -> None:
        with self.remember_fault():
            self.stream.flush()

    @contextlib.contextmanager
    def remember_fault(self) -> Iterator[None]:
        """Keep an OSError as the fault of the stream and raise it on."""
        try:
            yield
        except OSError as error:
            self.fault = self.fault or error
            raise

    def discard_rest(self) -> None:
        """Discard what cannot be written, about which the interpreter would complain at its end."""
        with contextlib.suppress(OSError):
            self.flush()
        if self.fault:
            with contextlib.suppress(OSError), open(os.devnull, "wb") as devnull:
                os.dup2(devnull.fileno(), self.stream.fileno())


@contextlib.contextmanager
def guard_streams() -> Iterator[list[Output]]:
    """Replace standard output and standard error within the block, and let no name command the terminal."""
    # rich removes some control codes from each text by this table, but not the escape that begins a sequence
    control._CONTROL_STRIP_TRANSLATE.update(CONTROLS)
    before = {key: getattr(sys, key) for key in NAMES}
    outputs = [Output(stream, NAMES[key]) for key, stream in before.items() if stream is not None]
    for stream in before.values():
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may be bytes that no terminal can show
    try:
        for key, stream in before.items():
            setattr(sys, key, next((output for output in outputs if output.stream is stream), None))
        yield outputs
    finally:
        for output in outputs:
            output.discard_rest()
        for key, stream in before.items():
            setattr(sys, key, stream)


def find_fault(outputs: list[Output]) -> LongtailError | BrokenPipeError | None:
    """Return why an output cannot be written, BrokenPipeError for a pipe that nobody reads, or None if all can."""
    for output in outputs:
        with contextlib.suppress(OSError):
            output.flush()
        if isinstance(output.fault, BrokenPipeError):
            return output.fault
        if output.fault:
            return LongtailError(
                f"{output.name} cannot be written: {output.fault.strerror}; send it to another file or device"
            )
    return None
