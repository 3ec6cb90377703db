"""Scripts that print the figures we claim; `python -m benchmarks.NAME` from the repository."""
