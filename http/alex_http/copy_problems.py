"""Why a session cannot be forked, exported or imported: branches of the tree in errors.py."""

from __future__ import annotations

from alex_actors.copies import MOST_MESSAGES
from alex_actors.tools.supervisor import DEEPEST
from alex_http.errors import Conflict, quoted


class SessionIsThere(Conflict):
    """A fork or an import makes a new session, and touches none that exists."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"There is a session {quoted(session_id)} already. Choose another ID, or delete that session first."
        )


class TaskIsThere(Conflict):
    """An import keeps the IDs of its tasks."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"There is a task {quoted(task_id)} already, in another session. Nothing of the document was imported."
        )


class SessionTooLarge(Conflict):
    """It could not be imported again."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"What is recorded of this session takes more than {limit:,} bytes, or it has more than"
            f" {MOST_MESSAGES:,} messages from the session that it was forked from: an import takes no more. Back"
            " up the whole server instead: `alex backup`."
        )


class WorkspaceTooLarge(Conflict):
    """It has more than a workspace may have, or directories that are nested too deeply."""

    def __init__(self) -> None:
        super().__init__(
            "The workspace of the session has more than tools.max_workspace_bytes or tools.max_workspace_files"
            f" allow, or more than {DEEPEST} directories one in the other, so there is no copy of it. Remove what"
            " is not needed, or raise these settings."
        )
