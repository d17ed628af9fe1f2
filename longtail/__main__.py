"""`python -m longtail`, and what the installed command calls."""

from longtail.errors import stopped


def main() -> None:
    """Load the commands, which takes seconds, and run one."""
    try:
        from longtail.cli import main as command

        command()
    except KeyboardInterrupt:  # while loading, or while a first one is answered
        raise stopped("interrupted", 130) from None


if __name__ == "__main__":
    main()
