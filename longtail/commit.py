"""The commit of this code, where it runs from a clone."""

import subprocess
from pathlib import Path

from longtail import __version__


def get_commit() -> str | None:
    """Return the commit of this package, with "-changed" if its files differ from the commit; None outside a clone.

    A package that is installed inside a clone of another project, such as in its virtual environment, is in no clone.
    """
    git = ["git", "-C", str(Path(__file__).resolve().parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno", "."], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("-changed" if changed.stdout.strip() else "")


def describe_version() -> str:
    """Return the version and, from a clone, the commit: "0.1.0, commit 1b8f103...-changed"."""
    commit = get_commit()
    return f"{__version__}, commit {commit}" if commit else __version__
