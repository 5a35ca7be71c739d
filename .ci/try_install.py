"""Start an installed ``alex``, run one task on it, and stop it: what is missing from a wheel shows here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

TASK = json.dumps({"task": "What is 2 + 2?", "tool_preset": "safe", "agent_preset": "researcher"}).encode()


def main(alex: str) -> None:
    """Run ``alex`` as a user would. Raises, or exits with an error, if anything is not as it should be."""
    with tempfile.TemporaryDirectory() as data:
        command = [alex, "serve", "--port", "0", "--data-dir", data]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
            url = listening(server)
            request = urllib.request.Request(
                f"{url}/api/tasks", TASK, {"Content-Type": "application/json"}, method="POST"
            )
            task = fetch(request)
            deadline = time.monotonic() + 20
            while task["completed_at"] is None and time.monotonic() < deadline:
                task = fetch(urllib.request.Request(f"{url}/api/tasks/{task['task_id']}"))
            print(task["status"], task["result"])
            if task["status"] != "completed" or "4" not in task["result"]["answer"]:
                sys.exit("the task did not complete with 4")
            server.terminate()
            if code := server.wait(20):
                sys.exit(f"the server exited with {code}")


def listening(server: subprocess.Popen[str]) -> str:
    """Return the URL that the server says it listens on."""
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"listens on (http://\S+)", line):
            return found[1]
    sys.exit("the server did not start")


def fetch(request: urllib.request.Request) -> dict[str, Any]:  # Any: JSON
    """Return a reply's JSON."""
    with urllib.request.urlopen(request, timeout=20) as reply:
        body: dict[str, Any] = json.load(reply)  # Any: as above
        return body


if __name__ == "__main__":
    main(sys.argv[1])
