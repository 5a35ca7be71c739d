"""A model server that nobody here wrote: npm's aimock, which speaks the protocols of OpenAI, Anthropic and Google.

It is scripted with fixtures of its own format (https://aimock.copilotkit.dev/fixtures), and tells what was asked.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from tests.live.process import SOON, Json, until
from tests.peers.node import HERE, node_for

PACKAGE = "@copilotkit/aimock"
KEY = "sk-of-a-test"
"""The only API key that servers of tests take."""


class Call(NamedTuple):
    """A request to a model, as the server saw it; times are seconds by the wall clock."""

    path: str
    headers: Mapping[str, str]
    body: Json
    status: int
    came: float
    closed: float | None
    """When its reply had ended or its connection was closed; None while it lasts."""
    whole: bool
    """The reply was sent to its end."""

    @property
    def messages(self) -> Sequence[Json]:
        """Return the conversation that was sent, as OpenAI has it."""
        messages: Sequence[Json] = self.body["messages"]
        return messages


def answers(said: str, response: Json, *, when: Mapping[str, object] | None = None, **how: object) -> Json:
    """Return a fixture: what is replied if the last message of the user has ``said`` in it, and ``how``.

    ``when`` narrows that down: ``{"sequenceIndex": 1}`` is for the second such request alone.
    """
    return {"match": {"userMessage": said, **(when or {})}, "response": response, **how}


def calls(*wanted: tuple[str, Mapping[str, object]], content: str = "") -> Json:
    """Return a response that asks for calls of tools: their names and arguments."""
    tools = [
        {"id": f"call_{number}", "name": name, "arguments": dict(arguments)}
        for number, (name, arguments) in enumerate(wanted)
    ]
    return {"content": content, "toolCalls": tools} if content else {"toolCalls": tools}


def fails(status: int, message: str, **more: object) -> Json:
    """Return a response that is an error; ``retryAfter`` is for 429, in seconds."""
    return {"error": {"message": message, "type": "mocked"}, "status": status, **more}


def settings_of(server: ModelServer) -> dict[str, str]:
    """Return the settings of a server of ours whose model this one is, for its environment."""
    return {"MODEL__NAME": "mocked", "MODEL__BASE_URL": server.openai_url, "MODEL__API_KEY": KEY}


def models_of(server: ModelServer) -> str:
    """Return a file of settings with more models: other protocols, and some that cannot be used."""
    tables: Mapping[str, Mapping[str, object]] = {
        "claude": {"provider": "anthropic", "base_url": server.url, "api_key": KEY},
        "gemini": {"provider": "gemini", "base_url": server.url, "api_key": KEY},
        "stormy": {"base_url": server.openai_url, "api_key": KEY, "attempts": 2},
        "hidden": {"base_url": server.openai_url, "api_key": KEY},
        "locked": {"base_url": server.openai_url, "api_key": "sk-of-nobody"},
        "absent": {"base_url": "http://127.0.0.1:9/v1", "api_key": KEY, "attempts": 2},
    }
    return "\n".join(
        f"[models.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


class ModelServer:
    """A model server in a process of its own, on a free port."""

    def __init__(self, directory: Path, *, key: str | None = KEY) -> None:
        """Start it: what it tells goes to ``directory``. Without a key it takes any. Raises MissingPeer."""
        self._told = directory / "model-server.jsonl"
        program = [node_for(PACKAGE), str(HERE / "model_server.mjs"), *([key] if key else [])]
        with self._told.open("wb") as out:
            self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=out)
        try:
            self.url: str = until(self._listens, "the model server listens")["url"]
        except AssertionError:
            self.stop()
            raise
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._control = httpx.Client(
            base_url=f"{self.url}/__aimock", headers=headers, timeout=SOON, trust_env=False
        )

    def _listens(self) -> Json | None:
        assert self.process.poll() is None, "the model server ended"
        return next((line for line in self._lines() if line["what"] == "listens"), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self.stop()

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate(timeout=SOON)

    @property
    def openai_url(self) -> str:
        """Return what clients of OpenAI's protocol take as their base URL."""
        return f"{self.url}/v1"

    def script(self, *fixtures: Json) -> None:
        """Add fixtures: the first that matches a request is its reply."""
        reply = self._control.post("/fixtures", json={"fixtures": fixtures})
        assert reply.status_code == 200, reply.text

    def forget(self) -> None:
        """Forget all requests so far."""
        reply = self._control.post("/reset/journal")
        assert reply.status_code == 200, reply.text

    def asked(self, said: str) -> list[Call]:
        """Return the requests that have ``said`` somewhere in their body, in order."""
        journal = self._control.get("/journal")
        assert journal.status_code == 200, journal.text
        closed = {line["request"]: line for line in self._lines() if line["what"] == "closed"}
        return [
            _call(entry, closed.get(entry["headers"]["x-request-id"], {}))
            for entry in journal.json()
            if said in json.dumps(entry["body"], ensure_ascii=False)
        ]

    def asked_at_least(self, count: int, said: str) -> list[Call]:
        """Wait for so many requests that have ``said`` in their body, and return all that came."""
        return until(
            lambda: found if len(found := self.asked(said)) >= count else None,
            f"the model server was asked {said!r} {count} times",
        )

    def closed(self, said: str) -> Call:
        """Wait until the last request that has ``said`` in its body is over, and return it."""
        return until(
            lambda: next((call for call in self.asked(said)[-1:] if call.closed is not None), None),
            f"the request that said {said!r} is over",
        )

    def _lines(self) -> list[Json]:
        *whole, _unfinished = self._told.read_bytes().split(b"\n")
        return [json.loads(line) for line in whole]


def _call(entry: Json, closed: Mapping[str, Any]) -> Call:  # Any: JSON that model_server.mjs tells
    return Call(
        path=entry["path"],
        headers=entry["headers"],
        body=entry["body"],
        status=entry["response"]["status"],
        came=closed.get("came", entry["timestamp"] / 1000),
        closed=closed.get("at"),
        whole=closed.get("whole", False),
    )
