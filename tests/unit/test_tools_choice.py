"""What presets choose: by name or pattern, from tools that stay and those that come and go; what they ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from alex_actors.ports import AgentError, Tool, ToolContext, ToolError
from alex_actors.tools import Toolbox
from alex_actors.tools.names import Names
from alex_actors.values import TaskId
from tests.unit.fake_agents import RecordingTool

CONTEXT = ToolContext(TaskId("task-1"), Path("nowhere"))


def tools(*names: str, says: str = "fixed", repeatable: bool = True) -> dict[str, Tool]:
    return {name: RecordingTool(name, lambda _: says, repeatable=repeatable).tool for name in names}


class Server:
    """A source whose tools come and go as a test says."""

    def __init__(self, *names: str) -> None:
        self.tools: Mapping[str, Tool] = tools(*names, says="server")

    def __call__(self) -> Mapping[str, Tool]:
        return self.tools


def offered(box: Toolbox, preset: str) -> list[str]:
    return [spec.name for spec in box.offered(preset)]


def call(box: Toolbox, name: str, preset: str) -> str:
    return asyncio.run(box.call(name, {}, CONTEXT, preset))


def test_a_preset_names_tools_by_pattern() -> None:
    server = Server("github__issue", "github__list", "gitlab__issue", "GITHUB__x")
    presets = {"a": ("think", "github__*"), "b": ("git???__issue",), "c": ("*",), "d": ("git[!h]*",)}
    box = Toolbox(tools=tools("think", "shell"), presets=presets, sources=[server])

    assert offered(box, "a") == ["think", "github__issue", "github__list"]
    assert offered(box, "b") == ["github__issue", "gitlab__issue"]
    assert offered(box, "c") == ["think", "shell", "GITHUB__x", "github__issue", "github__list", "gitlab__issue"]
    assert offered(box, "d") == ["gitlab__issue"]
    with pytest.raises(ToolError, match="'a' does not allow 'gitlab__issue'; 'b' and 'c' and 'd' would"):
        call(box, "gitlab__issue", "a")


def test_every_preset_has_what_is_always_there() -> None:
    box = Toolbox(tools=tools("think", "todo", "shell"), presets={"a": ("think",), "b": ()}, always=("todo",))

    assert (offered(box, "a"), offered(box, "b")) == (["think", "todo"], ["todo"])
    assert call(box, "todo", "b") == "fixed"


def test_tools_of_a_source_come_and_go() -> None:
    server = Server("s__b", "s__a")
    box = Toolbox(tools=tools("think"), presets={"a": ("*",)}, sources=[server])
    before = offered(box, "a")

    server.tools = tools("s__c", says="new")

    assert before == ["think", "s__a", "s__b"]
    assert offered(box, "a") == ["think", "s__c"]
    assert call(box, "s__c", "a") == "new"
    with pytest.raises(ToolError, match=r"There is no tool 's__a'\. The tools are: think, s__c\."):
        call(box, "s__a", "a")


def test_no_source_takes_the_place_of_a_tool() -> None:
    box = Toolbox(
        tools=tools("shell"), presets={"a": ("*",)}, sources=[Server("shell", "x"), lambda: tools("x", says="2nd")]
    )

    assert offered(box, "a") == ["shell", "x"]
    assert (call(box, "shell", "a"), call(box, "x", "a")) == ("fixed", "server")


def test_what_is_not_there_may_come_and_is_taken_for_unsafe_to_repeat() -> None:
    fixed = Toolbox(tools=tools("think"), presets={"a": ("*",)})
    open_ended = Toolbox(tools=tools("think"), presets={"a": ("s__*",)}, sources=[Server()])

    assert fixed.repeatable("s__a", "a")
    assert not open_ended.repeatable("s__a", "a")
    assert open_ended.repeatable("t__a", "a")


def test_a_call_waits_for_a_person_where_its_preset_or_the_server_says_so() -> None:
    box = Toolbox(
        tools=tools("think", "shell", "file_write"),
        presets={"a": ("*",), "b": ("think", "shell")},
        approve={"a": ("file_*",)},
        approve_always=("shell",),
    )

    asked = {
        preset: [n for n in ("think", "shell", "file_write") if box.needs_approval(n, preset)] for preset in "ab"
    }

    assert asked == {"a": ["shell", "file_write"], "b": ["shell"]}


def test_nobody_is_asked_about_a_call_that_is_refused_anyhow() -> None:
    box = Toolbox(tools=tools("think", "shell"), presets={"a": ("think",)}, approve_always=("*",))

    assert [box.needs_approval(name, "a") for name in ("think", "shell", "none")] == [True, False, False]
    assert not box.needs_approval("think", "no such preset")


def test_a_tool_that_went_a_moment_ago_does_not_come_back_without_being_asked_about() -> None:
    server = Server()
    box = Toolbox(tools={}, presets={"a": ("s__*",)}, sources=[server], approve={"a": ("s__write",)})

    assert box.needs_approval("s__write", "a")
    assert not box.needs_approval("s__read", "a")


def test_a_preset_that_is_not_there_says_so_whatever_is_called() -> None:
    box = Toolbox(tools=tools("think"), presets={"a": ("*",)}, always=("think",))

    for name in ("think", "none"):
        with pytest.raises(AgentError, match="There is no tool preset 'b'; there are: a"):
            call(box, name, "b")


def test_names_that_no_tool_has_are_told_with_what_may_have_been_meant() -> None:
    box = Toolbox(
        tools=tools("think", "web_fetch"),
        presets={"a": ("think", "web_fech", "s__x", "t__y", "u__*")},
        always=("todo",),
        approve={"a": ("shell",)},
        approve_always=("web_fetch",),
        sources=[Server("s__x")],
    )

    assert box.misnamed(coming=("t__*",)) == (
        "presets.tools.a.tools: there is no tool 'web_fech'; did you mean 'web_fetch'?",
        "presets.tools.a.approve: there is no tool 'shell'; there are: s__x, think, web_fetch",
        "tools.always: there is no tool 'todo'; there are: s__x, think, web_fetch",
    )


@pytest.mark.parametrize(
    ("given", "may"),
    [
        ("t__*", True),
        ("t__close_*", True),
        ("*", True),
        ("t?_x", True),
        ("tt__*", False),
        ("web_*", True),
        ("wab_*", False),
    ],
)
def test_a_pattern_that_can_never_fit_is_told(given: str, *, may: bool) -> None:
    box = Toolbox(tools=tools("web_fetch"), presets={"a": ("u__*",)}, approve={"a": (given,)})

    assert (box.misnamed(coming=("t__*",)) == ()) is may


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ("read", "read", True),
        ("read", "all", True),
        ("all", "read", False),
        ("github", "all", True),
        ("github", "read", False),
        ("one", "github", True),
        ("question", "github", False),  # it could have githubXXlist
        ("none", "read", False),
        ("read", "none", False),
        ("careful", "all", True),
        ("all", "careful", False),  # shell would not be asked about
        ("read", "careful", True),  # it has no shell
    ],
)
def test_one_preset_is_within_another_if_it_allows_no_more_and_asks_as_often(
    inner: str, outer: str, within: bool
) -> None:
    presets = {
        "read": ("think", "file_read"),
        "all": ("*",),
        "github": ("github__*",),
        "one": ("github__list",),
        "question": ("github??list",),
        "careful": ("*",),
    }
    box = Toolbox(tools=tools("think"), presets=presets, approve={"careful": ("shell",)})

    assert box.within(inner, outer) is within


def test_a_pattern_covers_another_only_if_it_must() -> None:
    assert Names(["a*"]).covers(Names(["ab*", "a?", "a[bc]", "a"]))
    assert not Names(["a?"]).covers(Names(["a*"]))
    assert Names(["a?"]).covers(Names(["a?", "ab"]))
    assert not Names(["a", "b"]).covers(Names(["[ab]"]))  # though it does
    assert Names(["a*"]).may_share(Names(["ab"]))
    assert not Names(["a*"]).may_share(Names(["b"]))
    assert "a" not in Names()
