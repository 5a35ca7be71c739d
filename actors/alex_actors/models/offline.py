"""The offline model: follows rules in place of a language model, so that all else can be seen at work without one.

It needs no network and no key, it is deterministic, and it says what it is whenever it cannot help. It keeps
nothing between calls: what it has done already follows from the conversation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import assert_never

from alex_actors.models.conversation import failure_of
from alex_actors.models.offline_intents import (
    Calculate,
    Count,
    Echo,
    Intent,
    ListFiles,
    ReadFile,
    RunCommand,
    Search,
    Simulate,
    Unknown,
    WriteFile,
)
from alex_actors.models.offline_language import understand
from alex_actors.ports import Message, ModelEvent, ModelReply, ToolCall, ToolSpec
from alex_actors.text import shortened
from alex_actors.values import Value

COUNT_SECONDS = 0.1
"""From one number to the next: slow enough to watch, and to cancel."""

LONGEST_ANSWER = 128 * 1024
"""Characters, of the answers to all parts: whatever they are, an event that has them stays under 1 MiB."""

_NOT_UNDERSTOOD = 'There is no rule for "{}".'
_HELP = """\
This is the offline model, which follows fixed rules. No language model is configured here, or the task asked for
this one by its name.

It understands:
- What is 2 + 2? / Calculate 3 * (4 + 5)
- List files in current directory / List files in src
- Create a file called a.txt with content: Hello / Read a.txt / Search for TODO
- Echo hello world / Say hello
- Run ls -l (if the tool preset allows the shell)
- Count from 1 to 10
- Simulate 5 steps of 20 ms / Simulate 5 steps of 20 ms then fail
- several of these, one after the other: X. Then Y / X and then Y

To use a language model, start the server with its name and key in the environment, as ALEX_MODEL__NAME=gpt-5-mini
and ALEX_MODEL__API_KEY=..., and for any other server that speaks the protocol of OpenAI (Ollama, vLLM, OpenRouter
and many more) with its address in ALEX_MODEL__BASE_URL. docs/models.md says more."""


class _Part(Value, frozen=True):
    """What is meant by a part of the task, and how far it is done."""

    intent: Intent
    outcomes: tuple[Message, ...]
    """The tools' messages that answer its calls."""
    calls: int
    """How many calls it takes."""

    @property
    def failure(self) -> str | None:
        """Return why its last call failed; None if it did not. A part ends with its first failure."""
        return failure_of(self.outcomes[-1]) if self.outcomes else None

    @property
    def is_done(self) -> bool:
        """Return whether there is nothing left to call."""
        return len(self.outcomes) == self.calls or self.failure is not None


class OfflineModel:
    """Does by rules what the user's last message says. ``sleep`` takes seconds; counting is paced with it."""

    def __init__(self, *, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._sleep = sleep

    @property
    def context_tokens(self) -> None:
        """Return None: rules take a conversation of any length."""
        return

    async def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[ToolSpec],  # noqa: ARG002 - it calls also what is not offered: the refusal says which preset would allow it
    ) -> AsyncGenerator[ModelEvent, None]:
        """Yield the next tool call, or the answer to all parts. Never raises."""
        parts = _read(messages)
        made = sum(len(part.outcomes) for part in parts)
        current = next((part for part in parts if not part.is_done), None)
        # The number after this one is said in this turn; after the last one, it is part of the answer.
        latest = next((part for part in reversed(parts) if part.outcomes), None)
        if latest is not None and _says_another_number(latest):
            await self._sleep(COUNT_SECONDS)
        if current is None:
            yield _reply(joined([_answer(part) for part in parts]))
            return
        name, arguments, announcement = _call(current.intent, len(current.outcomes))
        yield _reply(announcement, ToolCall(f"call-{made + 1}", name, arguments))


def joined(answers: Sequence[str]) -> str:
    """Return the answers to the parts of a task as one, not longer than may be."""
    text = "\n".join(answers)
    if len(text) <= LONGEST_ANSWER:
        return text
    return f"{text[:LONGEST_ANSWER]}\n[cut: the whole answer would have {len(text):,} characters]"


def _read(messages: Sequence[Message]) -> list[_Part]:
    """Return the parts of the last task of a conversation, each with the calls that were made for it."""
    asked = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    task = messages[asked].content if asked >= 0 else ""
    outcomes = [message for message in messages[asked + 1 :] if message.role == "tool"]
    parts = understand(task)
    calls = [_call_count(part.intent) for part in parts]
    # Whoever counts last says the last number in the answer.
    last = max((i for i, count in enumerate(calls) if count), default=-1)
    if last >= 0 and isinstance(parts[last].intent, Count):
        calls[last] -= 1
    read = []
    begin = 0
    for part, count in zip(parts, calls, strict=True):
        end = _end_of_part(outcomes, begin, count)
        read.append(_Part(part.intent, tuple(outcomes[begin:end]), count))
        begin = end
    return read


def _end_of_part(outcomes: Sequence[Message], begin: int, count: int) -> int:
    for position, outcome in enumerate(outcomes[begin : begin + count], start=begin + 1):
        if failure_of(outcome) is not None:
            return position
    return min(begin + count, len(outcomes))


def _says_another_number(part: _Part) -> bool:
    intent = part.intent
    return isinstance(intent, Count) and part.failure is None and len(part.outcomes) < len(intent.numbers)


def _call_count(intent: Intent) -> int:
    match intent:
        case Calculate() | ListFiles() | ReadFile() | WriteFile() | Search() | RunCommand():
            return 1
        case Count():
            return len(intent.numbers)
        case Echo() | Simulate() | Unknown():
            return 0
        case _:
            assert_never(intent)


def _call(intent: Intent, step: int) -> tuple[str, dict[str, str], str]:
    """Return the tool of a step, its arguments, and what the model says with the call."""
    match intent:
        case Calculate(expression=expression):
            return "calculator", {"expression": expression}, f"I calculate {expression}."
        case ListFiles(path=path):
            return "list_files", {"path": path}, "I list the files."
        case ReadFile(path=path):
            return "file_read", {"path": path}, f"I read {path}."
        case WriteFile(path=path, content=content):
            return "file_write", {"path": path, "content": content}, f"I write {path}."
        case Search(query=query, path=path):
            return "search", {"query": query, "path": path}, f"I search for {query}."
        case RunCommand(command=command):
            return "shell", {"command": command}, f"I run {command}."
        case Count():
            number = str(intent.numbers[step])
            return "think", {"thought": number}, number
        case Echo() | Simulate() | Unknown():
            raise AssertionError(f"{intent} takes no call")
        case _:
            assert_never(intent)


def _answer(done: _Part) -> str:
    intent, failure = done.intent, done.failure
    if failure is not None:
        return f"I could not {_deed(intent)}: {failure}"
    result = done.outcomes[-1].content.rstrip("\n") if done.outcomes else ""
    match intent:
        case Calculate(expression=expression):
            return f"{expression} = {result}"
        case ReadFile(path=path):
            return result or f"{path} is empty."
        case ListFiles() | WriteFile() | Search() | RunCommand():
            return result
        case Echo(text=text):
            return text
        case Count():
            return ", ".join(map(str, intent.numbers))
        case Simulate():
            return "A simulation is run by the offline agent; this agent only has its model."
        case Unknown(text=text, reason=reason):
            return f"{reason or _NOT_UNDERSTOOD.format(_excerpt(text))}\n\n{_HELP}"
        case _:
            assert_never(intent)


def _deed(intent: Intent) -> str:
    """Return what could not be done, as a verb with its object."""
    match intent:
        case Calculate(expression=expression):
            return f"calculate {expression}"
        case ListFiles(path=path):
            return f"list the files in {path}"
        case ReadFile(path=path):
            return f"read {path}"
        case WriteFile(path=path):
            return f"write {path}"
        case Search(query=query):
            return f"search for {query}"
        case RunCommand(command=command):
            return f"run {command}"
        case Count():
            return "count"
        case Echo() | Simulate() | Unknown():
            raise AssertionError(f"{intent} takes no call that could fail")
        case _:
            assert_never(intent)


def _excerpt(text: str) -> str:
    return shortened(" ".join(text.split()), 100)


def _reply(content: str, *calls: ToolCall) -> ModelReply:
    return ModelReply(content=content, tool_calls=calls)
