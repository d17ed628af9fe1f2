"""Benchmarks: `python -m benchmarks` lists them with what each one times and against what."""
