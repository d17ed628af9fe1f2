"""`python -m longtail`, and what the installed command calls."""

from longtail.errors import stopped


def main() -> None:
    """Load the commands, which takes seconds, and run one."""
    try:
        from longtail.cli import main as command
    except KeyboardInterrupt:
        raise stopped("interrupted", 130) from None
    command()


if __name__ == "__main__":
    main()
