"""Finding tools that users wrote: named in the configuration, or by installed packages."""

from __future__ import annotations

import asyncio
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from alex_actors.ports import ToolContext
from alex_actors.tools import ToolsError, load_tools, merged
from alex_actors.tools.loading import ENTRY_POINTS
from alex_actors.tools.think import think_tool
from alex_actors.values import TaskId

SOURCE = '''
from alex_actors.tools import tool

@tool
def decorated(a: int) -> int:
    """Return it."""
    return a

def plain(a: int) -> int:
    """Return it."""
    return a

class Group:
    @staticmethod
    def inner() -> str:
        """Be inside."""
        return "in"

def undocumented(a: int) -> int:
    return a

NUMBER = 7
'''


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tools_of_a_user.py").write_text(SOURCE)
    (tmp_path / "tools_that_fail.py").write_text("import no_such_thing\n")
    (tmp_path / "tools_that_raise.py").write_text("raise RuntimeError('on import')\n")
    (tmp_path / "tools_that_exit.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=ENTRY_POINTS)


def test_functions_are_loaded_decorated_or_plain(directory: Path) -> None:
    tools = load_tools(
        ["tools_of_a_user:decorated", "tools_of_a_user:plain", "tools_of_a_user:Group.inner"], installed=[]
    )

    result = asyncio.run(tools["plain"]({"a": 3}, ToolContext(TaskId("task-1"), directory)))

    assert list(tools) == ["decorated", "plain", "inner"]
    assert result == "3"


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("tools_of_a_user", "'tools_of_a_user' names no function: it must be package.module:function."),
        (":plain", "':plain' names no function: it must be package.module:function."),
        ("no_such:x", "'no_such:x': there is no module 'no_such' on Python's path."),
        ("no_such.module:x", "'no_such.module:x': there is no module 'no_such' on Python's path."),
        ("tools_of_a_user:x", "'tools_of_a_user:x': 'tools_of_a_user' has no 'x'."),
        ("tools_of_a_user:NUMBER", "'tools_of_a_user:NUMBER': It is int, not a function"),
        ("tools_of_a_user:undocumented", "'tools_of_a_user:undocumented': 'undocumented' needs a docstring"),
        (
            "tools_that_fail:x",
            "'tools_that_fail:x': importing 'tools_that_fail' failed: ModuleNotFoundError: No module named",
        ),
        (
            "tools_that_exit:x",
            "'tools_that_exit:x': importing 'tools_that_exit' failed: SystemExit: 0",
        ),
        (
            "tools_that_raise:x",
            "'tools_that_raise:x': importing 'tools_that_raise' failed: RuntimeError: on import",
        ),
    ],
)
def test_what_cannot_be_loaded_says_why(directory: Path, spec: str, error: str) -> None:
    with pytest.raises(ToolsError) as raised:
        load_tools([spec], installed=[])

    assert str(raised.value).startswith(error)


def test_a_package_is_imported_only_if_a_preset_names_its_tool(directory: Path) -> None:
    installed = [entry("plain", "tools_of_a_user:plain"), entry("other", "tools_that_raise:other")]

    assert list(load_tools([], installed=installed)) == []
    assert list(load_tools([], wanted=["plain"], installed=installed)) == ["plain"]
    assert list(load_tools([], wanted=["pl*"], installed=installed)) == ["plain"]
    with pytest.raises(ToolsError, match=r"the entry point 'other' of alex_runtime.tools: loading .* on import"):
        load_tools([], wanted=["*"], installed=installed)


def test_an_entry_point_has_the_name_of_its_tool(directory: Path) -> None:
    with pytest.raises(
        ToolsError, match=r"the entry point 'x' .*: the tool's name is 'plain'; both must be the same"
    ):
        load_tools([], wanted=["x"], installed=[entry("x", "tools_of_a_user:plain")])


def test_entry_points_are_those_of_this_environment_unless_given() -> None:
    assert load_tools([], wanted=["*"]) == {}


def test_a_name_that_two_tools_have_is_an_error(directory: Path) -> None:
    installed = [entry("plain", "tools_of_a_user:plain")]

    with pytest.raises(ToolsError, match="Two tools have the name 'plain'"):
        load_tools(["tools_of_a_user:plain"], wanted=["plain"], installed=installed)
    with pytest.raises(ToolsError, match="Two tools have the name 'think'"):
        merged({"think": think_tool()}, {"think": think_tool()})
