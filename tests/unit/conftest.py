"""Fixtures of several modules here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.otlp_receiver import Receiver


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take the interpreter from each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield what takes the place of a collector of OpenTelemetry."""
    from tests.unit.otlp_receiver import Receiver  # a fifth of a second, which other tests need not wait for

    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def no_otel_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what whoever runs the tests may have set."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
