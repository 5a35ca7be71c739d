"""Whose turn it is: waits until a connection can be read or written, and lets it; by epoll, or as waitress does.

waitress' loop asks every connection on every turn what it waits for: with 10,000 of them open, each turn takes
tens of milliseconds. ``EpollLoop`` asks those alone on which something happened. In return, whoever changes what
a connection waits for has to say so (``changed``).
"""

from __future__ import annotations

import select
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Literal, Protocol, TypeAlias

from waitress.wasyncore import loop, read, readwrite, write  # type: ignore[import-untyped]  # waitress has no types

from alex_http.transport.sockets import CannotListen

LoopName: TypeAlias = Literal["epoll", "poll"]

HAS_EPOLL = hasattr(select, "epoll")

IN, OUT, GONE = 0x001, 0x004, 0x018
"""Can be read; can be written; failed or hung up. poll and epoll have the same numbers; ``select`` has epoll's
names on Linux only.

Neither asks for urgent data, for which waitress does, to log that it does not know what to do with it.
"""


class Watched(Protocol):
    """What the loop asks of a connection, and of the socket that accepts them."""

    will_close: bool

    @property
    def descriptor(self) -> int | None:
        """The file descriptor; None once it is closed."""

    def readable(self) -> bool:
        """Whether it would read."""

    def writable(self) -> bool:
        """Whether it would write."""


class Loop(dict[int, Any], ABC):  # waitress has no types
    """All that is waited for, by descriptor: the map in which waitress puts what it opens.

    ``changed`` may be called from any thread, the rest belongs to the one that turns it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed: deque[Watched] = deque()
        self._new: set[int] = set()
        """Those of this turn. What the system says of such a descriptor is about one that was closed meanwhile."""

    def __setitem__(self, descriptor: int, watched: Any) -> None:  # as above
        """Wait for it from now on."""
        super().__setitem__(descriptor, watched)
        self._new.add(descriptor)

    def changed(self, watched: Watched) -> bool:
        """Take notice that it may wait for something else; return whether that has to wake the loop."""
        descriptor = watched.descriptor
        if descriptor is None or not self._matters(descriptor, watched):
            return False
        self._changed.append(watched)
        return True

    def look_at(self, watched: Watched) -> None:
        """Ask it at the next turn what it waits for."""
        self._changed.append(watched)

    def turn(self, timeout: float) -> None:
        """Wait, at most so many seconds, until something happens, and let those read and write that can."""
        self._new.clear()
        for _ in range(len(self._changed)):  # not those that come meanwhile
            watched = self._changed.popleft()
            if self._is_open(watched) and watched.writable():  # what is to be sent can be, mostly
                write(watched)
            if self._is_open(watched):
                self._look(watched)
        self._wait(timeout)

    def close(self) -> None:
        """Free what it took of the system."""

    def _is_open(self, watched: Watched) -> bool:
        descriptor = watched.descriptor
        return descriptor is not None and super().get(descriptor) is watched

    @abstractmethod
    def _matters(self, descriptor: int, watched: Watched) -> bool: ...

    @abstractmethod
    def _look(self, watched: Watched) -> None: ...

    @abstractmethod
    def _wait(self, timeout: float) -> None: ...


class PollLoop(Loop):
    """waitress' own, which is everywhere."""

    def get(self, descriptor: int, default: Any = None) -> Any:  # as above
        """Return what is watched there, for waitress to tell it what happened."""
        return default if descriptor in self._new else super().get(descriptor, default)

    def _matters(self, descriptor: int, watched: Watched) -> bool:  # noqa: ARG002 - it asks when it begins to wait
        return True

    def _look(self, watched: Watched) -> None:
        pass  # it is about to

    def _wait(self, timeout: float) -> None:
        loop(timeout=timeout, use_poll=True, map=self, count=1)  # select() knows no descriptor above 1023


class EpollLoop(Loop):
    """Linux' way, in which a turn costs what happened, not what is open.

    A connection stays registered for reading while its request is answered, though it would not read then: that
    spares two system calls and a wake-up per request. Only if its client sends ahead all the same is that noticed,
    and the registration taken back until the connection would read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._registered: dict[int, int] = {}

    def __setitem__(self, descriptor: int, watched: Any) -> None:  # as above
        """Wait for it from now on. What comes here would read."""
        super().__setitem__(descriptor, watched)
        self._registered[descriptor] = IN
        self._epoll.register(descriptor, IN)

    def __delitem__(self, descriptor: int) -> None:
        """Wait for it no more. It is not closed yet.

        Closing it is not enough: the system knows it by the open file, which a child process that is being
        started may have as well.
        """
        super().__delitem__(descriptor)
        del self._registered[descriptor]
        self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Free what it took of the system."""
        self._epoll.close()

    def _matters(self, descriptor: int, watched: Watched) -> bool:
        return watched.will_close or bool(_wanted(watched) & ~self._registered.get(descriptor, 0))

    def _look(self, watched: Watched) -> None:
        descriptor = watched.descriptor
        if descriptor is not None:
            self._register(descriptor, watched)

    def _wait(self, timeout: float) -> None:
        for descriptor, happened in self._epoll.poll(timeout):
            watched = self.get(descriptor)
            if watched is not None and descriptor not in self._new:
                self._let(descriptor, watched, happened)

    def _let(self, descriptor: int, watched: Watched, happened: int) -> None:
        """Let one do what it can."""
        unwanted = 0
        if happened & IN:
            if watched.readable():
                read(watched)
            else:
                unwanted = IN
        if happened & OUT and self.get(descriptor) is watched and watched.writable():
            write(watched)
        if happened & GONE and self.get(descriptor) is watched:
            readwrite(watched, GONE)
        if self.get(descriptor) is watched:
            self._register(descriptor, watched, unwanted=unwanted)

    def _register(self, descriptor: int, watched: Watched, *, unwanted: int = 0) -> None:
        """Have the system tell what it waits for; and what comes to be read, unless that is unwanted.

        A worker changes the connection, then looks here whether that was registered. This registers, then looks
        at the connection. So one of the two sees what the other did, without a lock.
        """
        while True:
            registered = self._registered[descriptor]
            wanted = _wanted(watched) | (registered & IN & ~unwanted)
            if wanted == registered:
                return
            self._registered[descriptor] = wanted
            self._epoll.modify(descriptor, wanted)


def _wanted(watched: Watched) -> int:
    return (IN if watched.readable() else 0) | (OUT if watched.writable() else 0)


def new_loop(name: LoopName | None = None, *, has_epoll: bool = HAS_EPOLL) -> Loop:
    """Return the loop of that name, or the best that this system has. Raises CannotListen if there is none."""
    if name == "epoll" and not has_epoll:
        raise CannotListen('Cannot wait with epoll: only Linux has it. "auto" is right everywhere.')
    return EpollLoop() if has_epoll and name != "poll" else PollLoop()
