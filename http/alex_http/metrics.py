"""``/metrics``: what the server measures, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized

import falcon
from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.core import InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from alex_actors.metrics.families import by_name, counter, gauge, histogram
from alex_http.exchange import Request
from alex_http.query import Query
from alex_http.request_tally import RequestTally, StreamTally


class Metrics(Collector):
    """What HTTP does, beside what ``collectors`` yield, written out whenever somebody asks for it.

    Nothing is kept from one time to the next. It asks no actor, and takes no lock that others need.
    """

    def __init__(self, *, version: str, collectors: Sequence[Collector] = ()) -> None:
        self.requests = RequestTally()
        self.streams = StreamTally()
        self._version = version
        self._serving: tuple[Sized, Callable[[], int]] | None = None
        self._registry = CollectorRegistry()
        for collector in (*collectors, self):
            self._registry.register(collector)
        for register in (ProcessCollector, PlatformCollector, GCCollector):
            register(registry=self._registry)

    def serve(self, *, streams: Sized, waiting: Callable[[], int]) -> None:
        """Take notice of the server's open streams, and of what tells how many replies it holds back."""
        self._serving = streams, waiting

    def written(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format that a client likes, and its media type. On any thread."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of HTTP, and which version runs."""
        yield InfoMetricFamily("alex", "The program.", {"version": self._version})
        yield counter(
            "alex_http_requests_total", "Requests that were answered.", ("method", "route", "status"),
            self.requests.answered_so_far(),
        )  # fmt: skip
        yield histogram(
            "alex_http_request_seconds", "From a request's arrival to its reply.", ("method", "route"),
            self.requests.seconds_so_far(),
        )  # fmt: skip
        yield counter(
            "alex_http_refused_total", "Requests that were refused before they were read whole.", ("status",),
            by_name(self.requests.refused_so_far()),
        )  # fmt: skip
        streams, waiting = self._serving or ((), int)
        yield gauge("alex_http_waiting_replies", "Replies that are held back.", (), {(): waiting()})
        yield gauge("alex_streams", "Event streams that are open.", (), {(): len(streams)})
        yield counter(
            "alex_stream_events_total", "Events that were sent, each as often as it was.", (),
            {(): self.streams.sent_so_far()},
        )  # fmt: skip
        yield counter(
            "alex_streams_closed_total", "Event streams that were closed.", ("reason",),
            by_name(self.streams.closed_so_far()),
        )  # fmt: skip


class MetricsResource:
    """``/metrics``."""

    def __init__(self, *, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Read what is measured."""
        Query(req)

        resp.data, resp.content_type = self._metrics.written(req.accept)

    on_head = on_get
