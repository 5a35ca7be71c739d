"""Agents of one's own: what a configuration may name, and what is said of what it may not."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from alex_actors.agents.choice import AgentChoice
from alex_actors.agents.loading import CannotLoad, load_agent, load_agents
from alex_actors.events import AnyEvent, TaskStarted
from alex_actors.ports import Agent, AgentError, AgentYield, Answer
from alex_actors.tasks import Task
from tests.unit.adapted import a_parts
from tests.unit.agent_fakes import ScriptedAgent
from tests.unit.fake_agents import make_task, run

MODULE = """
from __future__ import annotations
from typing import TYPE_CHECKING
from alex_actors.agents.loading import resumable
from alex_actors.models.conversation import whole_reply
from alex_actors.ports import Answer, Message
if TYPE_CHECKING:
    from alex_actors.agents.loading import AgentParts

class Poet:
    async def run(self, task, history):
        yield Answer(f"O {task.task}!")

class Reader:
    resumes = True
    def __init__(self, *, parts: AgentParts) -> None:
        self.parts = parts
    async def run(self, task, history):
        reply = await whole_reply(self.parts.model_of(task), [Message(role="user", content=task.task)])
        yield Answer(reply.content)

async def echo(task, history):
    yield Answer(task.task)

@resumable
async def lasting(task, history):
    yield Answer(str(len(history)))

def made(parts: AgentParts):
    return Reader(parts=parts)

poet = Poet()

class Names:
    inner = poet

class Needy:
    def __init__(self, url, key): ...
    run = Poet.run

class Raises:
    def __init__(self): raise OSError("no network")

class Idle: ...

class Forgetful:
    async def run(self, task): yield Answer("")

class Hasty:
    async def run(self, task, history): return "done"

class Unsure(Poet):
    resumes = "yes"

async def plain(task, history):
    return "done"

async def short(task):
    yield Answer("")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with the module; what loading from it does to this process is undone."""
    (tmp_path / "own_poets.py").write_text(MODULE)
    (tmp_path / "own_broken.py").write_text("import json\n\nwords = missing\n")
    (tmp_path / "own_wrong.py").write_text("def (:\n")
    (tmp_path / "own_ends.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "own_lacking.py").write_text("import a_package_that_nobody_has\n")
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("own_"):
            del sys.modules[name]


def loaded(spec: str, folder: Path) -> Agent:
    return load_agent(spec, parts=a_parts(), search=[folder])


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("Poet", "O night!"),
        ("poet", "O night!"),
        ("Names.inner", "O night!"),
        ("echo", "night"),
        ("lasting", "0"),
        ("Reader", "Said by the model."),
        ("made", "Said by the model."),
    ],
)
def test_a_class_a_function_an_object_and_a_factory_are_agents(folder: Path, name: str, answer: str) -> None:
    agent = loaded(f"own_poets:{name}", folder)

    assert run(agent, make_task("night")).answer == Answer(answer)


def test_only_what_says_that_it_resumes_does(folder: Path) -> None:
    resumes = {name: getattr(loaded(f"own_poets:{name}", folder), "resumes", False) for name in (
        "Poet", "Reader", "echo", "lasting"
    )}  # fmt: skip

    assert resumes == {"Poet": False, "Reader": True, "echo": False, "lasting": True}


def test_what_is_installed_comes_before_a_file_of_the_same_name(folder: Path) -> None:
    (folder / "falcon.py").write_text("agent = None\n")

    with pytest.raises(CannotLoad, match="There is no agent in falcon"):
        loaded("falcon:agent", folder)

    assert sys.path[-1] == str(folder)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("own_poets", 'It is not of the form "package.module:Agent".'),
        ("own_poets:", 'It is not of the form "package.module:Agent".'),
        ("own poets:Poet", 'It is not of the form "package.module:Agent".'),
        ("own_nothing:Poet", "There is no module own_nothing: neither is it installed, nor in {}."),
        ("own_poets.deep:Poet", "There is no module own_poets.deep: neither is it installed, nor in {}."),
        (
            "own_broken:Poet",
            ("own_broken cannot be imported: NameError: name 'missing' is not defined (own_broken.py, line 3)"),
        ),
        ("own_wrong:Poet", "own_wrong cannot be imported: SyntaxError: invalid syntax (own_wrong.py, line 1)"),
        ("own_ends:Poet", "own_ends cannot be imported: SystemExit: 3 (own_ends.py, line 1)"),
        (
            "own_lacking:Poet",
            (
                "own_lacking cannot be imported: ModuleNotFoundError: No module named "
                "'a_package_that_nobody_has' (own_lacking.py, line 1)"
            ),
        ),
        ("own_broken2:Poet", "There is no module own_broken2: neither is it installed, nor in {}."),
        (
            "own_poets:Poem",
            (
                "There is no Poem in own_poets; there is: Forgetful, Hasty, Idle, Names, Needy, Poet, "
                "Raises, Reader, Unsure, echo, lasting, made, plain, poet, short."
            ),
        ),
        ("own_poets:Needy", "Needy needs url, key: it has to take nothing, or one parameter of type AgentParts."),
        ("own_poets:Raises", "Raises raised when it was made: OSError: no network (own_poets.py, line 42)"),
        (
            "own_poets:Idle",
            (
                "Idle is no agent, but of the type Idle; an agent is a class with "
                "run(self, task, history), an object that has it, or an async generator function "
                "(task, history)."
            ),
        ),
        ("own_poets:MODULE", "There is no MODULE in own_poets"),
        (
            "own_poets:Forgetful",
            (
                "Forgetful.run(task, history) is how it is called, and it takes (task): "
                "too many positional arguments."
            ),
        ),
        ("own_poets:Hasty", "Hasty.run is no async generator: it has to be `async def`, and to yield."),
        ("own_poets:Unsure", "Unsure.resumes has to be True or False, not 'yes'."),
        ("own_poets:plain", "plain has no yield: what was meant is an async generator function (task, history)."),
        (
            "own_poets:short",
            ("short(task, history) is how it is called, and it takes (task): too many positional arguments."),
        ),
    ],
)
def test_what_is_no_agent_is_refused_with_what_would_be_right(folder: Path, spec: str, text: str) -> None:
    with pytest.raises(CannotLoad) as refused:
        loaded(spec, folder)

    assert str(refused.value).startswith(text.format(folder))
    assert "\n" not in str(refused.value)


def test_a_configurations_agents_are_refused_by_the_name_of_their_setting(folder: Path) -> None:
    with pytest.raises(CannotLoad) as refused:
        load_agents({"poet": "own_poets:Poem"}, parts=a_parts(), search=[folder])

    assert str(refused.value).startswith('agents.poet = "own_poets:Poem": There is no Poem in own_poets')
    assert set(load_agents({"poet": "own_poets:Poet"}, parts=a_parts(), search=[folder])) == {"poet"}


def test_what_is_of_another_library_gets_its_adapter(folder: Path) -> None:
    (folder / "own_written.py").write_text(
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "from pydantic_ai import Agent\n"
        "from pydantic_ai.models.test import TestModel\n"
        "builder = StateGraph(MessagesState)\n"
        "builder.add_node('poet', lambda state: {'messages': [('ai', 'O night!')]})\n"
        "builder.add_edge(START, 'poet')\n"
        "graph = builder.compile()\n"
        "agent = Agent(TestModel(custom_output_text='O day!'))\n"
    )

    graph, agent = loaded("own_written:graph", folder), loaded("own_written:agent", folder)

    assert run(graph, make_task("Write.")).answer.text == "O night!"
    assert run(agent, make_task("Write.")).answer.text == "O day!"
    with pytest.raises(CannotLoad, match="builder is no agent, but of the type StateGraph"):
        loaded("own_written:builder", folder)


# Which agent a task gets.


def saying(text: str) -> ScriptedAgent:
    async def say(_task: Task, _history: Sequence[AnyEvent]) -> AsyncIterator[AgentYield]:
        yield Answer(text)

    return ScriptedAgent(say)


CHOICE = AgentChoice(
    own={"poet": saying("I am the poet.")},
    presets=("default", "own"),
    models={"offline": saying("I am offline."), "big": saying("I am big.")},
)


@pytest.mark.parametrize(
    ("preset", "model", "answer"),
    [
        ("default", "offline", "I am offline."),
        ("own", "big", "I am big."),
        ("poet", "offline", "I am the poet."),
        ("poet", "gone", "I am the poet."),
    ],
)
def test_a_task_gets_its_presets_own_agent_or_the_one_of_its_model(preset: str, model: str, answer: str) -> None:
    task = msgspec.structs.replace(make_task("Who are you?"), agent_preset=preset, model=model)

    assert run(CHOICE(task), task).answer.text == answer


@pytest.mark.parametrize(
    ("preset", "model", "text"),
    [
        ("default", "gone", "The model 'gone' is not configured any more; there are: big, offline."),
        (
            "gone",
            "big",
            "The agent preset 'gone' is not configured any more; there are: default, own, poet.",
        ),
    ],
)
@pytest.mark.parametrize("history", [(), (TaskStarted(),)])
def test_a_task_whose_agent_or_model_is_gone_fails_and_says_so(
    preset: str, model: str, text: str, history: Sequence[AnyEvent]
) -> None:
    task = msgspec.structs.replace(make_task("Who are you?"), agent_preset=preset, model=model)

    agent = CHOICE(task)

    assert run(agent, task, history).error == text
    assert getattr(agent, "resumes", False) is True  # else a task that had begun would end as interrupted


def test_parts_give_the_model_of_a_task_and_no_other_in_its_place() -> None:
    parts = a_parts()

    assert parts.model_of(make_task("Go.")) is parts.model
    with pytest.raises(AgentError, match="There is no model 'gone'; there are: offline"):
        parts.model_of(msgspec.structs.replace(make_task("Go."), model="gone"))
