"""The example of the README, as it stands there, against a real server: each request gets the reply shown."""

from __future__ import annotations

import json
import re
import shlex
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.live.client import UNFINISHED, Client
from tests.live.process import ROOT, Json, until

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^\$ ", re.MULTILINE)
_TASK_ID = re.compile(r"task-[0-9a-f]{8}-[0-9a-f-]+")
_TIMESTAMP = re.compile(r'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z"')


class Example(NamedTuple):
    """A request as a reader types it, and the reply that the reader is shown."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    reply: Json


def examples_in(text: str) -> list[Example]:
    """Return the ``$ curl`` commands in the ``console`` blocks of ``text``, each with the JSON below it."""
    found = []
    for block in _BLOCK.findall(text):
        for piece in _PROMPT.split(block)[1:]:
            command, _, reply = piece.replace("\\\n", " ").partition("\n")
            if command.startswith("curl "):
                found.append(_example(command.partition(" | ")[0], json.loads(reply)))
    return found


def _example(command: str, reply: Json) -> Example:
    words = iter(shlex.split(command)[1:])
    method, path, body = "", "", ""
    headers: dict[str, str] = {}
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
            case _:
                assert word.startswith("http://127.0.0.1:8080/"), f"this test does not know {word!r} in: {command}"
                path = urlsplit(word).path
    return Example(method or ("POST" if body else "GET"), path, headers, body, reply)


def like(reply: Json) -> str:
    """Return a reply without what differs from one run to the next; the order of its fields stays."""
    return _TIMESTAMP.sub('"…Z"', _TASK_ID.sub("task-…", json.dumps(reply)))


def test_each_request_of_the_readme_gets_the_reply_that_it_shows(client: Client) -> None:
    examples = examples_in((ROOT / "README.md").read_text("utf-8"))
    actual_ids: dict[str, str] = {}

    for example in examples:
        path = _TASK_ID.sub(lambda shown: actual_ids[shown[0]], example.path)

        def send(example: Example = example, path: str = path) -> Json | None:
            reply: Json = client.http.request(
                example.method, path, headers=example.headers, content=example.body
            ).json()
            # A reader takes longer to type the second request than the task takes to end.
            return None if example.method == "GET" and reply["status"] in UNFINISHED else reply

        reply = until(send, f"{example.method} {path} is answered with an end")

        assert like(reply) == like(example.reply)
        actual_ids[example.reply["task_id"]] = reply["task_id"]
    assert [example.method for example in examples] == ["POST", "GET"]
