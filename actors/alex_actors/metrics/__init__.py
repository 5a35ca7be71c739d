"""What is measured, as Prometheus reads it: docs/metrics.md has all of it."""
