"""Tallies: what prometheus-client's own instruments would say, without their locks."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as TheirHistogram

from alex_actors.metrics.tallies import Histogram, add_up
from alex_http.request_tally import RequestTally, StreamTally

BOUNDS = (0.5, 1, 2.5)

values = st.lists(st.sampled_from([0.0, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 2.6, 100.0]) | st.floats(0, 1e6))


@given(values)
def test_a_histogram_says_what_that_of_prometheus_client_says(observed: list[float]) -> None:
    registry = CollectorRegistry()
    theirs = TheirHistogram("h", "Theirs.", buckets=BOUNDS, registry=registry)
    ours = Histogram(BOUNDS)

    for value in observed:
        theirs.observe(value)
        ours.observe(value)

    (family,) = registry.collect()
    said = {sample.labels["le"]: sample.value for sample in family.samples if sample.name == "h_bucket"}
    assert dict(ours.read().buckets) == said
    assert ours.read().total == next(sample.value for sample in family.samples if sample.name == "h_sum")


def test_a_time_below_nought_counts_as_nought() -> None:
    histogram = Histogram(BOUNDS)

    histogram.observe(-3)

    assert histogram.read() == ([("0.5", 1), ("1.0", 1), ("2.5", 1), ("+Inf", 1)], 0)


def test_histograms_of_several_threads_add_up() -> None:
    one, other, sum_of_both = Histogram(BOUNDS), Histogram(BOUNDS), Histogram(BOUNDS)
    one.observe(0.1)
    other.observe(2)

    sum_of_both.add(one)
    sum_of_both.add(other)

    assert sum_of_both.read() == ([("0.5", 1), ("1.0", 1), ("2.5", 2), ("+Inf", 2)], 2.1)
    assert add_up([{"a": 1}, {"a": 2, "b": 3}]) == {"a": 3, "b": 3}


def test_what_many_threads_count_at_once_is_all_there() -> None:
    requests, streams = RequestTally(), StreamTally()
    together = threading.Barrier(8)

    def count() -> None:
        together.wait()
        for _ in range(1000):
            requests.answer("GET", "/api/tasks", 200, 0.002)
            streams.send(2)
        requests.refuse(414)
        streams.close("gone")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert requests.answered_so_far() == {("GET", "/api/tasks", "200"): 8000}
    assert dict(requests.seconds_so_far()["GET", "/api/tasks"].read().buckets)["0.0025"] == 8000
    assert requests.refused_so_far() == {"414": 8}
    assert streams.sent_so_far() == 16_000
    assert streams.closed_so_far() == {"ended": 0, "gone": 8, "stalled": 0, "stopping": 0, "failed": 0}
