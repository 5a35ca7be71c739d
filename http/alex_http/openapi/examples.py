"""The examples of the document. A test sends the requests to a real server and compares the replies."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]  # Any: JSON, of the contract

TASK_ID = "task-01a20361-907a-7000-8000-02681ba0fee0"
SESSION_ID = "demo"

SUBMIT: Json = {"task": "What is 2 + 2?", "session_id": SESSION_ID}
LONG_SUBMIT: Json = {
    "task": "Simulate 5 steps of 20 ms",
    "session_id": SESSION_ID,
    "agent_preset": "researcher",
    "tool_preset": "read-only",
    "multitask_strategy": "parallel",
    "timeout_seconds": 30,
    "max_iterations": 10,
    "metadata": {"ticket": "4711"},
}
SESSION_IN: Json = {"session_id": SESSION_ID, "metadata": {"team": "docs"}}

CREATED: Json = {
    "task_id": TASK_ID,
    "session_id": SESSION_ID,
    "status": "pending",
    "task": "What is 2 + 2?",
    "agent_preset": "default",
    "tool_preset": "safe",
    "model": "offline",
    "parent_task_id": None,
    "created_at": "2026-11-22T13:10:55.354842Z",
    "started_at": None,
    "completed_at": None,
    "current_iteration": 0,
    "total_iterations": 0,
    "tokens_used": 0,
    "total_tokens": 0,
    "cost_usd": 0.0,
    "error": None,
    "termination_reason": None,
    "result": None,
    "multitask_strategy": "enqueue",
    "timeout_seconds": None,
    "max_iterations": 50,
    "metadata": {},
}
RUNNING: Json = CREATED | {
    "status": "running",
    "started_at": "2026-11-22T13:10:55.371366Z",
    "current_iteration": 1,
    "tokens_used": 8,
}
COMPLETED: Json = RUNNING | {
    "status": "completed",
    "completed_at": "2026-11-22T13:10:55.382696Z",
    "current_iteration": 2,
    "total_iterations": 2,
    "tokens_used": 16,
    "total_tokens": 16,
    "termination_reason": "completed",
    "result": {
        "answer": "2 + 2 = 4",
        "iterations": 2,
        "tokens_used": 16,
        "stop_reason": "final_answer",
        "session_id": SESSION_ID,
    },
}
TASKS: Json = {"tasks": [COMPLETED], "total": 1, "limit": 10, "offset": 0}
CANCELLED: Json = {"task_id": TASK_ID, "status": "cancelled"}
APPROVALS: Json = {
    "approvals": [
        {
            "task_id": TASK_ID,
            "session_id": SESSION_ID,
            "call_id": "call-1-1",
            "iteration": 1,
            "tool_name": "shell",
            "arguments": {"command": "rm -r build"},
            "requested_at": "2026-11-22T13:10:55.377120Z",
            "expires_at": "2026-11-23T13:10:55.376981Z",
        }
    ],
    "next_cursor": None,
}
APPROVAL: Json = {"approved": True}
CHANGED_APPROVAL: Json = {
    "approved": True,
    "reason": "Not the whole directory",
    "arguments": {"command": "rm build/cache.db"},
}
DENIAL: Json = {"approved": False, "reason": "Ask again after the release"}
EVENTS: Json = {
    "events": [
        {
            "event_id": 1,
            "task_id": TASK_ID,
            "session_id": SESSION_ID,
            "parent_task_id": None,
            "timestamp": "2026-11-22T13:10:55.354842Z",
            "agent_level": "core",
            "event_type": "task_created",
            "task": "What is 2 + 2?",
        }
    ],
    "last_event_id": 1,
}

SESSION: Json = {
    "id": SESSION_ID,
    "created_at": "2026-11-22T13:10:55.354842Z",
    "updated_at": "2026-11-22T13:10:55.382696Z",
    "task_count": 1,
    "last_task": "What is 2 + 2?",
    "forked_from": None,
    "metadata": {"team": "docs"},
}
SESSIONS: Json = {"sessions": [SESSION], "total": 1, "limit": 10, "offset": 0}
SESSION_DETAIL: Json = SESSION | {
    "messages": [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "2 + 2 = 4"},
    ],
    "tasks": [COMPLETED],
}
MADE_SESSION: Json = SESSION | {
    "task_count": 0,
    "last_task": None,
}
FORK: Json = {"session_id": "demo-2"}
FORKED: Json = SESSION_DETAIL | {
    "id": "demo-2",
    "task_count": 0,
    "last_task": None,
    "forked_from": SESSION_ID,
    "tasks": [],
}
DOCUMENT: Json = {
    "format": "alex-session",
    "version": 1,
    "exported_at": "2026-11-22T13:12:00.000000Z",
    "session": {
        "id": "demo-3",
        "created_at": "2026-11-22T13:10:55.354842Z",
        "updated_at": "2026-11-22T13:10:55.354842Z",
        "forked_from": None,
        "metadata": {},
    },
    "messages": [],
    "tasks": [],
    "events": [],
}

LOGIN: Json = {"token": "alex_7GYpXk3q_PX6tCiqpKxgvV1sMUhr0zlwVCJp2wEuDLh1CTcyoZ6c"}
READY: Json = {"status": "ready"}
