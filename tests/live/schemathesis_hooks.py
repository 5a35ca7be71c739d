"""What schemathesis does otherwise than by itself, in tests of this server. It imports this module."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_body(_context: schemathesis.HookContext, body: Any) -> bool:  # Any: JSON
    """Leave out bodies with 5.0 for an integer: for JSON Schema it is one, for this server it is not."""
    return not (isinstance(body, dict) and isinstance(body.get("max_iterations"), float))


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, schema: dict[str, Any]) -> None:  # Any: the document
    """Ask for nobody else: of what one request makes for another owner, nothing is there for the next."""
    for item in schema["paths"].values():
        for call in item.values():
            parameters = call.get("parameters", [])
            call["parameters"] = [one for one in parameters if one["name"] != "X-Alex-Owner"]
