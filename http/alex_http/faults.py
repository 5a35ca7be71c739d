"""What is wrong with a JSON body, in words: msgspec stops at the first error and tells it for programmers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin, get_type_hints

import msgspec

from alex_http.errors import BadBody, BadFields, FieldError, Problem, first_errors, listed, quoted

LONGEST_VALUE = 40
"""Characters of a bad value that are repeated; of a longer one only its type is."""

_TOO_DEEP = "The body is nested too deeply."
_NUMBER = frozenset("-0123456789")
_TYPES = {"{": "an object", "[": "an array", "t": "a boolean", "f": "a boolean", "n": "null"}


class Field:
    """How one field is checked on its own, and what is said if it is wrong."""

    def __init__(self, hint: Any) -> None:  # a type expression, for which Python has no type
        self._decoder = msgspec.json.Decoder(hint)
        self.must_be = _description(hint)
        values = _values(hint)
        self._values = None if values is None else Field(values)

    def faults(self, name: str, raw: msgspec.Raw) -> Iterator[FieldError]:
        """Yield what is wrong with the value ``raw`` of the field ``name``: nothing, or at least one fault."""
        try:
            self._decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            inner = self._inner_faults(name, raw)
            yield next(inner, None) or FieldError(name, f"must be {self.must_be}; it was {_shown(raw)}")
            yield from inner

    def _inner_faults(self, name: str, raw: msgspec.Raw) -> Iterator[FieldError]:
        """Yield the faults of an object's values, so that the very one is named."""
        if self._values is None or not bytes(raw).startswith(b"{"):
            return
        for key, value in msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).items():
            yield from self._values.faults(f"{name}.{key}", value)


class Fields:
    """The fields of a struct."""

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        hints = get_type_hints(struct, include_extras=True)
        infos = msgspec.structs.fields(struct)
        self._fields = {info.name: Field(hints[info.name]) for info in infos}
        self._required = tuple(info.name for info in infos if info.required)

    def problem(self, data: bytes) -> Problem:
        """Return what is wrong with ``data``, which msgspec refused to decode."""
        try:
            data.decode()  # msgspec looks into a string only when it needs it
            faults = first_errors(self._faults(msgspec.json.decode(data, type=dict[str, msgspec.Raw])))
        except msgspec.ValidationError:
            return BadBody(_other_value(data))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return BadBody(_syntax_fault(data))
        except RecursionError:
            return BadBody(_TOO_DEEP)
        return BadFields(faults) if faults else BadBody(_syntax_fault(data))

    def _faults(self, members: Mapping[str, msgspec.Raw]) -> Iterator[FieldError]:
        for name in self._required:
            if name not in members:
                yield FieldError(name, f"is missing: it must be {self._fields[name].must_be}")
        for name, raw in members.items():
            if field := self._fields.get(name):
                yield from field.faults(name, raw)
            else:
                yield FieldError(name, self._unknown())

    def _unknown(self) -> str:
        if not self._fields:
            return "is not known here: this call takes no fields"
        return f"is not known here; the fields are {listed(tuple(self._fields))}"


def refuse_doubled_names(data: bytes) -> None:
    """Raise BadFields if an object in ``data`` has a name twice: parsers take the first or the last as they like.

    ``data`` is JSON that was decoded already. Numbers are not read: Python limits the digits of an integer.
    """
    _names_once.decode(data.decode())


def _once(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) != len(pairs):
        times = Counter(name for name, _ in pairs)
        raise BadFields(
            FieldError(name, f"is there {count} times; send it once") for name, count in times.items() if count > 1
        )


_names_once = json.JSONDecoder(object_pairs_hook=_once, parse_int=str, parse_float=str)


def _description(hint: Any) -> str:  # a type expression
    """Return what completes "must be …" of an annotated type."""
    for meta in getattr(hint, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    return "of another type"


def _values(hint: Any) -> Any:  # type expressions
    """Return the type of the values of a mapping, None for any other type."""
    if get_origin(hint) is dict:
        return get_args(hint)[1]
    if get_origin(hint) in (Annotated, UnionType, Union):
        return next(filter(None, map(_values, get_args(hint))), None)
    return None


def _shown(raw: msgspec.Raw) -> str:
    """Return a bad value, or its type if it is long."""
    text = bytes(raw).decode(errors="replace")
    if len(text) <= LONGEST_VALUE and text.isprintable():
        return text
    if text.startswith('"'):
        return f"a string of {_length(raw):,} characters"
    return "a number" if text[0] in _NUMBER else _TYPES.get(text[0], "something else")


def _length(raw: msgspec.Raw) -> int:
    return len(msgspec.json.decode(raw, type=str))


def _other_value(data: bytes) -> str:
    """Return what ``data`` is instead of an object: msgspec does not look beyond the first character."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _syntax_fault(data)
    except RecursionError:
        pass  # what is nested too deeply is still something
    return f"The body must be a JSON object; it was {_shown(msgspec.Raw(data.strip()))}."


def _syntax_fault(data: bytes) -> str:
    """Return why ``data`` is no JSON: the standard library tells the line, msgspec a byte at best."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return f"The body is not UTF-8: byte {error.start} of it ({data[error.start]:#04x}) cannot be read."
    if text.startswith("\ufeff"):
        return "The body begins with a byte order mark. Send the JSON without it."
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_int=str, parse_float=str)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        return f"The body has half of a surrogate pair, \\u{ord(half):04x}, which is no character."
    except json.JSONDecodeError as error:
        return f"The body is not JSON: {error.msg}, at line {error.lineno}, column {error.colno}."
    except RecursionError:
        return _TOO_DEEP
    except _NotJsonError as error:
        return f"The body is not JSON: {error} is no JSON number."
    return "The body is not JSON that can be read here."


class _NotJsonError(Exception):
    """A word that Python's parser takes and JSON does not have."""


def _refuse_constant(word: str) -> NoReturn:
    raise _NotJsonError(quoted(word))
