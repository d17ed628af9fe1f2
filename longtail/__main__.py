"""Entry point of `python -m longtail` and of the installed command `longtail`."""

import sys

from longtail.errors import announce_stop


def main() -> None:
    """Load the command line and run one command."""
    sys.path.append("")  # so that MODULE:CLASS finds a module in the current folder, as with python -m
    try:
        from longtail.commands.app import main as run

        run()
    except KeyboardInterrupt:  # while modules load, or while a first one is answered
        sys.exit(announce_stop("interrupted", 130))


if __name__ == "__main__":
    main()
