"""The project's measurements: `uv run python -m benchmarks`; what they mean is in docs/benchmarks.md."""
