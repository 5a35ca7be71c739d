"""What schemathesis does otherwise than by itself, in tests of this server. It imports this module."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(_context: schemathesis.HookContext, body: Any) -> bool:  # Any: JSON
    """Leave out bodies with 5.0 for an integer: for JSON Schema it is one, for this server it is not."""
    return not (isinstance(body, dict) and isinstance(body.get("max_iterations"), float))


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case) -> bool:
    """Leave out what is asked for another owner: nothing that one request makes would be there for the next."""
    return "X-Alex-Owner" not in (case.headers or {})
