"""What the log of a server that was measured says: whether each task went as tasks must."""

from __future__ import annotations

from pathlib import Path

from alex_actors.data_directory import log_file_of
from alex_actors.tracing.checking import check_files


def check_log(data: Path, *, tasks: int = 0) -> list[str]:
    """Check the log of a data directory, and print what there was to check. Return what is wrong.

    Wrong is also a log that does not tell of at least so many ``tasks``: it would prove nothing.
    """
    checked = check_files([log_file_of(data)])
    print(
        f"the log: {checked.lines:,} lines in {len(checked.files)} files, {checked.tasks:,} tasks, "
        f"{checked.runs:,} runs of the server, checked in {checked.seconds:.1f} s: {checked.broken:,} violations; "
        f"not provable: {checked.left + checked.begun_before:,} tasks, {checked.lost:,} lines lost, "
        f"{checked.unreadable:,} unreadable"
    )
    missing = [f"the log tells of {checked.tasks:,} tasks, not of {tasks:,}"] if checked.tasks < tasks else []
    return missing + [
        f"the log has {one.task_id} break {one.rule}: {one.what} "
        f"({', '.join(f'{Path(place.file).name}:{place.number}' for place in one.lines)})"
        for one in checked.violations
    ]
