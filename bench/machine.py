"""The machine of a bench: how busy others keep it, and what a server's process takes of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """What a process takes: seconds of CPU so far, resident bytes, threads, open descriptors."""

    cpu: float
    memory: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Look at a process."""
        process = psutil.Process(pid)
        with process.oneshot():
            return cls(
                cpu=time.clock_gettime(~pid << 3 | 2),  # clock_getcpuclockid(3): psutil's has steps of 10 ms
                memory=process.memory_info().rss,
                threads=process.num_threads(),
                descriptors=process.num_fds(),
            )


class Noise:
    """How busy others keep the machine while a bench runs, from its construction on."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._busy, self._all = _machine()
        self._own = _own()

    def __str__(self) -> str:
        """Say it in a line. Processes that the bench started count as its own once they have ended."""
        busy, everything = _machine()
        others = (busy - self._busy - (_own() - self._own)) / max(0.01, everything - self._all)
        return (
            f"{os.cpu_count()} cores; load average {self._load:.1f} before; others took "
            f"{max(0.0, others):.0%} of the machine meanwhile"
        )


def _machine() -> tuple[float, float]:
    times = psutil.cpu_times()
    everything = sum(times) - times.guest - times.guest_nice
    return everything - times.idle - times.iowait, everything


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
