"""docs/tools.md says of each tool what is so, and its example is the one that is tested."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.tool_limits import tools_without_a_sandbox

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tools.md").read_text("utf-8")


def test_the_table_says_which_tools_are_repeatable_and_run_alone() -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|]+\| (yes)? ?\| (yes)? ?\|$", PAGE, re.MULTILINE)

    shown = {name: (bool(repeatable), bool(alone)) for name, repeatable, alone in rows}
    assert shown.pop("delegate") == (True, False)
    assert shown == {
        name: (tool.spec.repeatable, tool.spec.alone) for name, tool in tools_without_a_sandbox().items()
    }


def test_the_example_does_what_the_tested_one_does() -> None:
    example = (ROOT / "examples" / "my_tools.py").read_text("utf-8")
    (shown,) = re.findall(r"^def time_until\(.*?:\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert shown in example
