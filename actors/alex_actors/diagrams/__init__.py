"""Sequence diagrams: of simulated runs, and of what a log tells of a task."""
