"""`python -m benchmarks NAME [arguments] [--save]`: run one benchmark by name, inside the clone; --save keeps its record."""

import ast
import importlib
import shlex
import sys
from pathlib import Path

from benchmarks import harness
from longtail.errors import LongtailError, unknown_name

SUPPORT = ("__init__", "__main__", "harness", "peer", "hostile", "tails")


def summaries() -> dict[str, str]:
    """Map the name of each benchmark to the first line of its docstring, without importing the benchmark."""
    lines = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in SUPPORT:
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            lines[path.stem] = text.partition("\n")[0]
    return lines


def main(argv: list[str]) -> int:
    """List the benchmarks, or run one; return the exit code, 2 for bad input."""
    known = summaries()
    if not argv:
        width = max(map(len, known), default=0)
        for name, summary in known.items():
            print(f"{name:<{width}}  {summary}")
        return 0
    name, *arguments = argv
    if name not in known:
        print(unknown_name("benchmark", name, known), file=sys.stderr)
        return 2
    harness.INVOCATION.command = shlex.join(["python", "-m", "benchmarks", *argv])
    harness.INVOCATION.is_kept = "--save" in arguments
    try:
        return importlib.import_module(f"benchmarks.{name}").main([a for a in arguments if a != "--save"]) or 0
    except LongtailError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
