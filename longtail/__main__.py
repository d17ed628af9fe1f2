"""Entry point of `python -m longtail` and of the installed command `longtail`."""

import os
import signal
import sys

from longtail.errors import announce_stop

SPIN_COUNT = "1000"  # turns that an idle thread of libgomp waits before it sleeps; by default 300,000


def limit_spinning() -> None:
    """Set how long idle OpenMP threads spin, unless the user has set this; torch must not be loaded yet.

    On a busy machine a thread that spins holds the core of the thread that it waits for; see benchmarks/busy.py. Commands
    call this, the library never does.
    """
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT


def main() -> None:
    """Load the command line and run one command."""
    sys.path.append("")  # so that MODULE:CLASS finds a module in the current folder, as with python -m
    limit_spinning()
    try:
        from longtail.commands.app import main as run

        run()
    except KeyboardInterrupt:  # while modules load, or while a first one is answered
        sys.exit(announce_stop("interrupted", 130, sys.argv[1:]))
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process ends, and the end of torch prints no traceback


if __name__ == "__main__":
    main()
