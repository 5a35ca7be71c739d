"""Submits a task to a server, shows its events as they come, and its answer.

    alex serve                                    # in another terminal
    python follow_a_task.py "Count from 1 to 10"

Stop the server meanwhile, and start it again: no event is lost, none comes twice.
"""

from __future__ import annotations

import argparse
import sys

from alex_http.client import AlexError, Client


def follow(alex: Client, text: str) -> int:
    """Submit a task and follow it to its end. Return an exit code: 0 if it was completed."""
    submitted = alex.submit(text)
    for event in alex.events(task_id=submitted.task_id):
        print(f"{event.timestamp:%H:%M:%S.%f}  {event.event_type:<18} {event.data}")  # noqa: T201 - that is its job
    task = alex.task(submitted.task_id)
    print(task.answer or task.error)  # noqa: T201 - as above
    return 0 if task.status == "completed" else 1


def main() -> int:
    """Do what the command line says."""
    arguments = argparse.ArgumentParser(description="Submit a task, and follow it.")
    arguments.add_argument("task", help="what the agent is to do")
    arguments.add_argument("--url", default="http://127.0.0.1:8080", help="where the server is")
    given = arguments.parse_args()
    try:
        with Client(given.url) as alex:
            return follow(alex, given.task)
    except AlexError as error:
        print(error, file=sys.stderr)  # noqa: T201 - as above
        return 1


if __name__ == "__main__":
    sys.exit(main())
