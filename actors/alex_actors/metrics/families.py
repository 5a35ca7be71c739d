"""Metrics in the form that prometheus-client writes out: a name, what it means, its labels, its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from alex_actors.metrics.tallies import Histogram

L = TypeVar("L", bound=tuple[str, ...])
"""The values of a metric's labels, in their order."""


def counter(name: str, says: str, labels: L, values: Mapping[L, float]) -> CounterMetricFamily:
    """Return a counter, whose name ends in ``_total``, with its values by their labels' values."""
    family = CounterMetricFamily(name, says, labels=labels)
    for labelled, value in values.items():
        family.add_metric(labelled, value)
    return family


def gauge(name: str, says: str, labels: L, values: Mapping[L, float]) -> GaugeMetricFamily:
    """Return a gauge, with its values by their labels' values."""
    family = GaugeMetricFamily(name, says, labels=labels)
    for labelled, value in values.items():
        family.add_metric(labelled, value)
    return family


def histogram(name: str, says: str, labels: L, values: Mapping[L, Histogram]) -> HistogramMetricFamily:
    """Return a histogram, with what was observed by their labels' values."""
    family = HistogramMetricFamily(name, says, labels=labels)
    for labelled, value in values.items():
        observed = value.read()
        family.add_metric(labelled, observed.buckets, observed.total)
    return family


def by_name(values: Mapping[str, float]) -> dict[tuple[str], float]:
    """Return values of a metric with one label, by that label's."""
    return {(name,): value for name, value in values.items()}
