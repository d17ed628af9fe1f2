"""Memory and time to list and inspect a table with very many lines; each size in a new process."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import count, save

CLASSES = 1000


def measure(lines: int) -> dict:
    """Measure time and peak memory of listing and inspecting a table of so many lines over a thousand small images."""
    from PIL import Image

    from longtail.commands.inspect import inspect_data
    from longtail.data import ReadOptions, list_data

    with tempfile.TemporaryDirectory() as folder:
        for i in range(CLASSES):
            Image.new("RGB", (8, 8), (i % 256, i // 256, 0)).save(f"{folder}/picture-of-a-certain-kind-{i:04}.png")
        with (table := Path(folder, "table.csv")).open("w") as file:
            file.write("path,label\n")
            file.writelines(
                f"picture-of-a-certain-kind-{i % CLASSES:04}.png,class {i % CLASSES}\n" for i in range(lines)
            )
        import pyarrow  # noqa: F401 - before the first measurement

        found = {"start_mb": peak()}
        began = time.perf_counter()
        list_data(str(table), None, ReadOptions())
        found |= {"listed_mb": peak(), "listed_seconds": time.perf_counter() - began}
        began = time.perf_counter()
        inspect_data(str(table), None, None, None, None, False)
        return found | {"inspected_mb": peak(), "inspected_seconds": time.perf_counter() - began}


def peak() -> float:
    """Return the largest resident memory of this process so far, in MB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: list[str]) -> None:
    """Measure every size, print a row for each, and save all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks listing", description=__doc__)
    parser.add_argument("--lines", type=count(), nargs="+", default=[1000, 1_000_000])
    parser.add_argument("--one", type=count(), help="measure one size and print it")
    args = parser.parse_args(argv)
    if args.one:
        print(json.dumps(measure(args.one)))
        return
    record: dict[int, dict] = {}
    for lines in args.lines:
        command = [sys.executable, "-m", "benchmarks", "listing", "--one", str(lines)]
        record[lines] = found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(
            f"{lines:>9,} lines: {found['start_mb']:.0f} MB before, {found['listed_mb']:.0f} MB listed in "
            f"{found['listed_seconds']:.1f} s, {found['inspected_mb']:.0f} MB inspected in {found['inspected_seconds']:.1f} s",
            flush=True,
        )
    save("listing", record)
