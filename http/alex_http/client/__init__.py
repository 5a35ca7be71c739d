"""A client of Alex Runtime, for programs: `Client`, which blocks, and `AsyncClient`, for asyncio.

    with Client() as alex:
        task = alex.submit("What is 2 + 2?")
        for event in alex.events(task_id=task.task_id):
            print(event.event_type, event.data)
        print(alex.wait(task.task_id).answer)

It imports nothing of the server.
"""

from alex_http.client.async_client import AsyncClient, AsyncEventStream
from alex_http.client.errors import (
    AlexError,
    ApiError,
    BadReply,
    BadRequest,
    Conflict,
    ConnectionFailed,
    CopyRefused,
    FieldError,
    Forbidden,
    GaveUp,
    KeyReused,
    NotFound,
    NothingWaits,
    ServerError,
    SessionIsBusy,
    TaskHasEnded,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnknownSession,
    UnknownTask,
    WaitTimedOut,
)
from alex_http.client.sync_client import Client, EventStream
from alex_http.client.values import (
    Approval,
    ApprovalPage,
    Component,
    Event,
    EventPage,
    Health,
    Message,
    Result,
    Session,
    SessionDetail,
    SessionPage,
    Status,
    Strategy,
    Task,
    TaskPage,
)

__all__ = [
    "AlexError",
    "ApiError",
    "Approval",
    "ApprovalPage",
    "AsyncClient",
    "AsyncEventStream",
    "BadReply",
    "BadRequest",
    "Client",
    "Component",
    "Conflict",
    "ConnectionFailed",
    "CopyRefused",
    "Event",
    "EventPage",
    "EventStream",
    "FieldError",
    "Forbidden",
    "GaveUp",
    "Health",
    "KeyReused",
    "Message",
    "NotFound",
    "NothingWaits",
    "Result",
    "ServerError",
    "Session",
    "SessionDetail",
    "SessionIsBusy",
    "SessionPage",
    "Status",
    "Strategy",
    "Task",
    "TaskHasEnded",
    "TaskPage",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnknownSession",
    "UnknownTask",
    "WaitTimedOut",
]
