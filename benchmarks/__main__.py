"""Run one benchmark by name: python -m benchmarks NAME [arguments]."""

import ast
import importlib
import sys
from pathlib import Path

SUPPORT = ("__init__", "__main__", "harness", "peer")


def summaries() -> dict[str, str]:
    """Map each benchmark's name to the first line of its docstring, without importing any."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in SUPPORT:
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            found[path.stem] = text.partition("\n")[0]
    return found


def main(argv: list[str]) -> int:
    """List the benchmarks, or run one; -> exit status, 2 for an unknown name."""
    known = summaries()
    if not argv:
        width = max(map(len, known), default=0)
        for name, summary in known.items():
            print(f"{name:<{width}}  {summary}")
        return 0
    name, *arguments = argv
    if name not in known:
        from longtail.errors import unknown_name  # here, because it loads torch

        print(unknown_name("benchmark", name, known), file=sys.stderr)
        return 2
    return importlib.import_module(f"benchmarks.{name}").main(arguments) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
