"""Puts a model's turn together from the chunks of a streamed chat completion, as tolerantly as servers differ."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from alex_actors.models.conversation import size_of
from alex_actors.models.faults import Fault
from alex_actors.models.turn_text import LONG_NOTICE, TurnText, paired
from alex_actors.models.unchecked import field, listed, text_of
from alex_actors.models.unreadable import arguments_of
from alex_actors.models.usage import Counted
from alex_actors.ports import ToolCall
from alex_actors.text import encodable, shortened

CUT_NOTICE = "\n\n[The answer ends here: it reached the limit of output tokens.]"
"""The end of an answer that is not whole, so that nobody takes it for one that is."""

MOST_WRITTEN = 8 * 1_048_576
"""Bytes of UTF-8 that a model may write in a turn, with what nobody is shown: ten times what any of them can."""

MOST_CALLS = 1024
"""In a turn."""

_LONGEST_NAME = 128
"""Characters of a tool's name, which is no longer than 64, and of a call's ID."""

_FAILED = frozenset({"error", "insufficient_system_resource"})
"""Finish reasons of OpenRouter and DeepSeek for answers that the server could not finish."""


@dataclass(slots=True)
class _Call:
    """A tool call, as far as it has come."""

    index: int | None
    call_id: str
    name: str
    written: list[str] = dataclasses.field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Return whether its arguments are JSON as they are."""
        try:
            json.loads("".join(self.written))
        except (ValueError, RecursionError):
            return False
        return True

    @property
    def may_be_whole(self) -> bool:
        """Return whether it is worth while to look: a look at each of many pieces takes too long."""
        return bool(self.written) and self.written[-1].rstrip().endswith("}")


class ChatTurn:
    """One turn of a model. ``add`` its chunks in order, then take what it comes to."""

    def __init__(self) -> None:
        self.counted: Counted | None = None
        """What the provider says that it took: what it said last, if it said so more than once."""
        self.written = 0
        """How many bytes of UTF-8 the model wrote, also where nobody is shown them."""
        self._text = TurnText()
        self._refused: list[str] = []
        self._calls: list[_Call] = []
        self._finish = ""

    @property
    def content(self) -> str:
        """Return the text so far."""
        return self._text.content

    @property
    def progress(self) -> tuple[int, int, str]:
        """Return what is another with each piece of an answer, and the same after a chunk that has none."""
        return self.written, len(self._calls), self._finish

    @property
    def is_full(self) -> bool:
        """Return whether it is as long as a turn may be: what would follow is not wanted."""
        return self._text.is_cut or self.written > MOST_WRITTEN or len(self._calls) > MOST_CALLS

    def add(self, chunk: object) -> str:
        """Take a chunk, as JSON or as the SDK's object, and return the text that it adds to the answer."""
        # Nobody checked what the server sent: any field may be missing, or of another type than it should be.
        usage = field(chunk, "usage")
        if usage is not None:
            self.counted = Counted.of(usage) or self.counted
        text = ""
        for choice in listed(field(chunk, "choices")):
            if field(choice, "index") in (0, None):  # one answer was asked for
                text += self._add_delta(field(choice, "delta"))
                self._finish = text_of(field(choice, "finish_reason")) or self._finish
        return text

    def end(self) -> str:
        """Say that there is nothing more, and return what is to be added to the text.

        Raises Fault if the turn is no answer: cut off, refused by a filter, or empty.
        """
        if self.is_full:
            self._finish = "length"
        if not self._finish and not (self._calls and all(call.is_whole for call in self._calls)):
            raise Fault("cut")  # some servers give no reason for a turn that ends with calls
        if self._finish in _FAILED:
            raise Fault("cut", f"it ended with {self._finish!r}")
        if self._finish == "content_filter":
            raise Fault("refused", "".join(self._refused))
        if not self._calls and not self.content.strip():
            raise Fault("length" if self._finish == "length" else "empty")
        if self._text.is_cut:
            return self._text.end(LONG_NOTICE)
        return self._text.end(CUT_NOTICE if self._finish == "length" and not self._calls else "")

    def calls(self) -> tuple[ToolCall, ...]:
        """Return the calls that the model wants, each with an ID of its own."""
        taken: set[str] = set()
        calls = []
        for number, call in enumerate(self._calls, start=1):
            call_id = encodable(call.call_id)
            if not 0 < len(call_id) <= _LONGEST_NAME or call_id in taken:
                call_id = f"call-{number}"
            taken.add(call_id)
            name = shortened(encodable(call.name), _LONGEST_NAME)
            calls.append(ToolCall(call_id, name, arguments_of(paired("".join(call.written)))))
        return tuple(calls)

    def _add_delta(self, delta: object) -> str:
        if delta is None:
            return ""
        # Reasoning is no part of the answer. Providers want none of it back, and it is not shown; it is counted.
        for name in ("reasoning_content", "reasoning"):
            self.written += size_of(text_of(field(delta, name)))
        for fragment in listed(field(delta, "tool_calls")):
            self._add_fragment(fragment)
        refused = text_of(field(delta, "refusal"))
        if refused:
            self._refused.append(refused)
        text = text_of(field(delta, "content")) + refused  # a refusal is what the model answers
        self.written += size_of(text)
        return self._text.add(text)

    def _add_fragment(self, fragment: object) -> None:
        function = field(fragment, "function")
        name = text_of(field(function, "name"))
        call_id = text_of(field(fragment, "id"))
        index = field(fragment, "index")
        call = self._continued(index if isinstance(index, int) else None, call_id, name)
        if call is None:
            call = _Call(index if isinstance(index, int) else None, call_id, name)
            self._calls.append(call)
            self.written += size_of(name)
        else:
            call.call_id = call.call_id or call_id
            if name != call.name and not call.written:  # some repeat the name with each piece
                call.name += name
                self.written += size_of(name)
        written = field(function, "arguments")
        if isinstance(written, dict):  # some send an object in place of its JSON
            written = _written(written)
        if isinstance(written, str) and written:
            call.written.append(written)
            self.written += size_of(written)

    def _continued(self, index: int | None, call_id: str, name: str) -> _Call | None:
        """Return the call that a piece belongs to; None if it begins a new one."""
        if index is not None:
            same = next((call for call in reversed(self._calls) if call.index == index), None)
        elif call_id:
            same = next((call for call in self._calls if call.call_id == call_id), None)
            if same is None and not name and self._calls and not self._calls[-1].call_id:
                same = self._calls[-1]
        else:
            same = self._calls[-1] if self._calls else None
        if same is None or not name:
            return same
        # Some servers number all calls 0, and some do not number them: a name begins another call then.
        if call_id and same.call_id and call_id != same.call_id:
            return None
        if (
            not call_id
            and same.written
            and (index is None or not same.call_id)
            and same.may_be_whole
            and same.is_whole
        ):
            return None
        return same


def _written(arguments: dict[str, object]) -> str:
    """Return an object as JSON; what is no JSON, so that the model is told, if it is nested too deep."""
    try:
        return json.dumps(arguments)
    except RecursionError:
        return f"{str(list(arguments))[:100]}: nested too deep"
