"""`python -m benchmarks NAME [arguments]`: run one benchmark by name."""

import ast
import importlib
import sys
from pathlib import Path

from longtail.errors import unknown_name

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
    """List the benchmarks, or run one; return the exit code, 2 for an unknown name."""
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
    return importlib.import_module(f"benchmarks.{name}").main(arguments) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
