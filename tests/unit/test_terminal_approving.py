"""``alex approvals`` and what an agent of somebody's own may ask about."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from click.testing import CliRunner

from alex_http.command_line import main
from tests.unit.plain_server import Answer, Environ, Start, servers
from tests.unit.running_server import LOOPS


def listing(*tool_names: str) -> Answer:
    """Return a server at which a call of each of these tools waits."""
    calls: list[dict[str, object]] = [
        {
            "task_id": "task-1", "session_id": "s", "call_id": f"call-{number}", "iteration": 1, "tool_name": name,
            "arguments": {}, "requested_at": "2026-11-22T13:10:55.377120Z", "expires_at": None,
        }
        for number, name in enumerate(tool_names)
    ]  # fmt: skip
    body = msgspec.json.encode({"approvals": calls, "next_cursor": None})

    def answer(_environ: Environ, start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


def test_a_tool_of_an_endless_name_does_not_make_the_lines_of_the_others_endless() -> None:
    with servers(LOOPS[0]) as serve:
        server = serve(listing("shell", "t" * 100_000)).server

        done = CliRunner().invoke(main, ["approvals", "--server", f"http://127.0.0.1:{server.port}"])

    assert done.exit_code == 0
    assert f"{'t' * 99}…" in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 200
