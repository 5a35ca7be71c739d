"""What ``last`` stands for in ``alex tail``: the task that was recorded last, and its session."""

from __future__ import annotations

import os
from contextlib import ExitStack
from gzip import GzipFile
from pathlib import Path

from alex_actors.logs.reading import LogLine, open_log, parse_head
from alex_actors.logs.searching import Part, backwards, unpacked
from alex_actors.tracing.task_log import IS_CREATED, OF_PARENT


def last_task(path: Path) -> LogLine | None:
    """Return the line of a log that tells of the task that was recorded last, and is no sub-agent's.

    It is sought from the end, in what the log was rotated into as well; None if there is none. Raises OSError.
    """
    with ExitStack() as closing:
        files = open_log(path)
        for file in files:
            closing.enter_context(file)
        for file in reversed(files):
            if isinstance(file, GzipFile):
                part = unpacked(file, closing=closing)
            else:
                part = Part(file, 0, os.fstat(file.fileno()).st_size)
            for _, line in backwards(part):
                if IS_CREATED in line and OF_PARENT not in line:
                    head = parse_head(line)
                    if head is not None and head.event == "task.created":
                        return head
    return None
