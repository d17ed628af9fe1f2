"""`python -m longtail`, and what the installed command calls."""

import sys

from longtail.errors import announce_stop


def main() -> None:
    """Load the command line and run one command."""
    try:
        from longtail.commands.app import main as run

        run()
    except KeyboardInterrupt:  # while modules load, or while a first one is answered
        sys.exit(announce_stop("interrupted", 130))


if __name__ == "__main__":
    main()
