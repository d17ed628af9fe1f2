"""What is timed, against what, and how: `python -m benchmarks` lists the benchmarks."""
