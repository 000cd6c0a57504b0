"""Speed against plain versions and the machine's limit, as ratios; ``python -m benchmarks`` writes RESULTS.md."""
