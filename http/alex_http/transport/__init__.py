"""A waitress that gives its workers back: streams, and replies that wait, take a connection and no thread.

For any WSGI application. It finds a ``Hold`` in the environment of each request, as ``environ[HOLD]``:

* ``hold.stream(feed)`` makes the reply a stream. The application returns the headers and no body; from then on
  what the ``Feed`` gives is sent, by one thread for all streams.
* ``hold.wait(seconds)`` has the request answered later: what the application returns is dropped, and it is called
  again for the same request after ``hold.wake()``, which may come from any thread, or when the time is over.

Imports waitress and the standard library, and nothing else of this program: docs/transport.md says how to lift it
out.
"""

from alex_http.transport.feed import Feed, Reason
from alex_http.transport.holds import HOLD, Hold
from alex_http.transport.limits import Head, Limits
from alex_http.transport.proxies import counted_as
from alex_http.transport.replies import Refusal, RefusedRequest
from alex_http.transport.server import Server
from alex_http.transport.sockets import CannotListen

__all__ = [
    "HOLD",
    "CannotListen",
    "Feed",
    "Head",
    "Hold",
    "Limits",
    "Reason",
    "Refusal",
    "RefusedRequest",
    "Server",
    "counted_as",
]
