"""The offline model's rules: each reads one kind of request, or says that it is none.

Quantifiers over spaces and words are possessive (``++``), and only the rules for files and echoes see long
texts, so that no text takes long to understand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from alex_actors.models.offline_intents import (
    LONGEST_COUNT,
    LONGEST_STEP,
    MOST_STEPS,
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
from alex_actors.models.offline_parts import (
    is_quoted,
    unquoted,
    without_courtesies,
    without_fillers,
)
from alex_actors.models.offline_sums import sum_of

_SHORT = 1000
"""Characters of a request that is neither a file's content nor an echo."""


def intent_of(text: str) -> Intent:
    """Return what a part of a task means."""
    request = without_fillers(text)
    brief = without_courtesies(request)
    for rule in _RULES:
        if rule not in _VERBATIM and len(brief) > _SHORT:
            continue
        intent = rule(request if rule in _VERBATIM else brief)
        if intent is not None:
            return intent
    return Unknown(text)


def says_fail(text: str) -> bool:
    """Return whether a part of a task asks for a failure."""
    return without_fillers(text).rstrip(".!").lower() in ("fail", "fails", "it fails", "raise an error")


def _rule(pattern: str) -> re.Pattern[str]:
    """Compile a pattern in which a space stands for any run of them."""
    return re.compile(pattern.replace(" ", r"\s++"), re.IGNORECASE | re.DOTALL)


# Paths and quoted texts, as groups take them.
_QUOTED = "|".join(
    f"{opening}[^{closing}]{{0,500}}+{closing}"
    for opening, closing in ("''", '""', "``", "\u201c\u201d", "\u2018\u2019")
)
_PATH = rf"(?:{_QUOTED}|[^\s'\"`]++)"
_CURRENT = re.compile(
    r"(?:(?:the|this|my) )?(?:(?:current|working|root|whole) )?"
    r"(?:director(?:y|ies)|folder|workspace|project|files?)"
    r"|here|there|all(?: the)? files|everywhere|everything|every file|\.?",
    re.IGNORECASE,
)
_KIND_BEFORE = re.compile(r"(?:the )?(?:(?:directory|folder|file)\s++(?:called |named )?)?", re.IGNORECASE)
_KIND_AFTER = re.compile(r"\s++(?:directory|folder|file)$", re.IGNORECASE)


def _path(text: str | None) -> str:
    """Return the path that a phrase names: "the src directory" is ``src``, "here" is ``.``."""
    phrase = (text or "").strip()
    if is_quoted(phrase):
        return unquoted(phrase)
    phrase = phrase.rstrip("?!,;:")
    if phrase.endswith(".") and not phrase.endswith(("..", "/.")) and phrase != ".":
        phrase = phrase[:-1]
    if _CURRENT.fullmatch(" ".join(phrase.split())):
        return "."
    phrase = phrase[_prefix(_KIND_BEFORE, phrase) :]
    return unquoted(_KIND_AFTER.sub("", phrase)) or "."


def _prefix(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0


_LIST = _rule(
    r"(?:(?:list|show|display|give)(?: me)?(?: all)?(?: of)?(?: the| my)?(?: current)?"
    r" (?:files?|director(?:y|ies)|folders?|contents?|workspace|entries)"
    r"(?: and (?:files|folders|directories))?"
    r"|(?:what|which)(?: are the)? (?:files|directories|folders)"
    r"(?: (?:are|exist|do (?:i|we|you) have))?(?: there)?"
    r"|what(?:'s| is) in(?= (?:the |this |my )?(?:current |working )?(?:directory|folder|workspace))"
    r"|list|ls|dir)"
    r"(?: (?:(?:in|of|inside|under|from|at) )?(?P<path>[^\n]{1,500}))?[.?!]*"
)
# A word only counts as one before a space: "a" is none in "create a.txt".
_NAMED = r"(?: file(?=\s))?+(?: (?:called|named)(?=\s))?+"
_CALLED = rf"(?: (?:a|an|the|my)(?=\s))?+(?: (?:new|empty|text)(?=\s))*+{_NAMED}"
_CONTENT = (
    r"(?:with|containing|that (?:says|contains|reads)|which (?:says|contains)|and (?:write|put))"
    r"(?: the| this)?+(?: following)?+(?: (?:content|contents|text|words?|lines?)\b(?: of| is)?+)?+"
)
_CREATE = _rule(
    rf"(?:create|make|write|add|save|touch|generate){_CALLED} (?P<path>{_PATH})"
    rf"(?: {_CONTENT}(?P<content>(?:\s*+[:=]|\s).*))?"
)
_WRITE_TO = _rule(
    rf"(?:write|save)(?: to| into| in)(?: (?:the|a)(?=\s))?+{_NAMED} (?P<path>{_PATH})(?P<content>(?:\s*+:|\s).*)"
)
_WRITE_INTO = _rule(
    r"(?:write|save|put|store)(?: the)?+(?: text| content| words?)?+:? (?P<content>.*\S)"
    rf" (?:to|into|in|as)(?: (?:the|a)(?=\s))?+(?: new(?=\s))?+{_NAMED} (?P<path>{_PATH})"
)
_READ = _rule(
    r"(?:(?P<any>read|cat|view|open)|show|display|print|get|give)(?: me)?(?: what(?:'s| is) in)?(?: out)?(?: the)?"
    rf"(?: (?:contents?|text)(?: of| in| from)?)?(?: the)?(?P<file> file)?(?: called| named)? (?P<path>{_PATH})"
    r"(?: file)?[.?!]*"
)
_WHAT_IS_IN = _rule(
    r"what(?:(?:'s| is) (?:in|inside)|(?:'s| is| are) the (?:contents?|text) of)(?: the)?(?: file)?"
    rf" (?P<path>{_PATH})[.?!]*|what does(?: the)?(?: file)? (?P<subject>{_PATH}) (?:contain|say)[.?!]*"
)
_SEARCH = _rule(
    r"(?:(?:search|look|grep|scan)(?: (?P<where>(?:in |through )?[^\s'\"]{1,200}+))? for|search|grep|find)"
    r"(?: all)?(?: the)?(?: (?:lines? (?:with|containing)|text|word|string|pattern|occurrences? of))?"
    rf" (?P<query>{_QUOTED}|[^\n]{{1,500}}?)"
    r"(?: (?:in|inside|within|under)(?P<path> [^\n]{1,500}))?[.?!]*"
)
_GREP = _rule(rf"grep(?! for )(?: -[a-z]{{1,8}})*+ (?P<query>{_PATH}) (?P<path>[^\s'\"]++)")
_COMMAND = _rule(
    r"(?:(?:run|execute|exec)(?: (?:(?:the|this|a) )?(?:(?:shell|bash|terminal) )?command:?|:)?+"
    r"|(?:shell|bash|command):|\$) (?P<command>.+)"
)
_ECHO = _rule(
    r"(?P<verb>echo|say|repeat(?: after me)?|print|respond with|reply with|answer with)(?::\s*+|\s)(?P<text>.+)"
)
_NUMBER = r"-?[0-9]{1,15}"
_COUNT = _rule(
    rf"count(?P<down> (?:down|backwards?))?(?: up)?(?: the)?(?: numbers)?(?: (?:from )?(?P<first>{_NUMBER}))?"
    rf"(?: (?:up |down )?(?:to|until|till|through) |\s*+(?:-|\.\.|\u2013)\s*+)(?P<last>{_NUMBER})[.!]*"
)
_COUNT_DOWN = _rule(rf"count (?:down|backwards?)(?: from)? (?P<first>{_NUMBER})[.!]*")
_SIMULATE = _rule(
    r"simulate (?P<steps>[0-9]{1,9}) steps?,? (?:of|at|with|taking)(?: each)?"
    r" (?P<time>[0-9]{1,9}(?:\.[0-9]{1,6})?)\s*+(?P<unit>ms|msecs?|milliseconds?|s|secs?|seconds?)"
    r"(?: each)?(?P<fail>,?(?: and)?(?: then)? fails?)?[.!]*"
)


def _list_files(text: str) -> Intent | None:
    match = _LIST.fullmatch(text)
    if match is None:
        return None
    path = _path(match["path"])
    # "list two reasons" is no directory; one with a space in its name has to be quoted.
    return ListFiles(path) if len(path.split()) <= 1 or is_quoted(match["path"]) else None


def _write_file(text: str) -> Intent | None:
    for pattern in (_CREATE, _WRITE_TO, _WRITE_INTO):
        match = pattern.fullmatch(text)
        if match is not None:
            path = _path(match["path"])
            before = text[: match.start("path")].split()[-3:]
            # Else it has to look like a file: "make tea with milk" is none.
            if path != "." and ("file" in map(str.lower, before) or _is_file_name(path)):
                return WriteFile(path, _content(match["content"] or ""))
    return None


def _content(text: str) -> str:
    text = text.lstrip(" \t").removeprefix(":").removeprefix("=").lstrip(" \t").removeprefix("\n")
    return unquoted(text) if is_quoted(text) else text


def _read_file(text: str) -> Intent | None:
    if match := _READ.fullmatch(text):
        path = _path(match["path"])
        sure = match["any"] or match["file"]
        return ReadFile(path) if path != "." and (sure or _is_file_name(path)) else None
    if match := _WHAT_IS_IN.fullmatch(text):
        path = _path(match["path"] or match["subject"])
        return ReadFile(path) if _is_file_name(path) else None
    return None


def _is_file_name(path: str) -> bool:
    """Return whether it looks like one: with an extension or a directory, and not like a number."""
    return ("/" in path or "." in path[1:-1]) and not re.fullmatch(r"[0-9./]*", path)


def _search(text: str) -> Intent | None:
    if match := _GREP.fullmatch(text):
        return Search(unquoted(match["query"]), _path(match["path"]))
    match = _SEARCH.fullmatch(text)
    if match is None or match["query"].lower().startswith(("files", "for ")):
        return None
    where = match["path"] or re.sub(r"^(?:in|through)\s+", "", match["where"] or "", flags=re.IGNORECASE)
    query = match["query"].strip()
    return Search(unquoted(query), _path(where)) if query else None


def _run_command(text: str) -> Intent | None:
    match = _COMMAND.fullmatch(text)
    if match is None:
        return None
    command = match["command"].strip()
    if (command.endswith(".") and command[-2:-1].isalnum()) or command.endswith(("'.", '".', "`.")):
        command = command[:-1]
    # Articles begin no command: "run the tests" is a wish that no rule can fulfil.
    return None if re.match(r"(?:the|a|an|my|this)\s", command, re.IGNORECASE) else RunCommand(unquoted(command))


def _echo(text: str) -> Intent | None:
    match = _ECHO.fullmatch(text)
    if match is None:
        return None
    said = match["text"].strip()
    if match["verb"].lower() == "say" and not is_quoted(said):
        said = said[:-1] if said.endswith(".") and not said.endswith("..") else said
    return Echo(unquoted(said))


def _count(text: str) -> Intent | None:
    if match := _COUNT.fullmatch(text):
        last = int(match["last"])
        first = int(match["first"]) if match["first"] else 1
        if match["down"] and not match["first"]:
            first, last = last, 1
    elif match := _COUNT_DOWN.fullmatch(text):
        first, last = int(match["first"]), 1
    else:
        return None
    if abs(last - first) >= LONGEST_COUNT:
        return Unknown(
            text, f"It counts up to {LONGEST_COUNT:,} numbers; this would be {abs(last - first) + 1:,}."
        )
    return Count(first, last)


def _simulate(text: str) -> Intent | None:
    match = _SIMULATE.fullmatch(text)
    if match is None:
        return None
    steps = int(match["steps"])
    scale = 1 if match["unit"].lower().startswith("m") else 1000
    milliseconds = float(match["time"]) * scale
    if not 1 <= steps <= MOST_STEPS or not milliseconds.is_integer() or milliseconds > LONGEST_STEP:
        limits = f"1 to {MOST_STEPS:,} steps of a whole number of milliseconds from 0 to {LONGEST_STEP:,}"
        return Unknown(text, f"It simulates {limits}.")
    return Simulate(steps, int(milliseconds), fail=match["fail"] is not None)


# The first that understands a text decides: what names its object most clearly comes first.
_RULES: tuple[Callable[[str], Intent | None], ...] = (
    _simulate,
    _count,
    _run_command,
    sum_of,
    _write_file,
    _read_file,
    _list_files,
    _search,
    _echo,
)
_VERBATIM = (_write_file, _echo)
"""Those that carry a text of any length as it is, polite words included."""
