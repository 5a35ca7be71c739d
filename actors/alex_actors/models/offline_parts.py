"""How a task's text falls into parts: "X. Then Y" is two, but not inside of quotes.

All of it is linear in the length of the text: a task may have 100,000 characters, and anybody may send one.
"""

from __future__ import annotations

import re

_THEN = re.compile(
    r"(?:(?:[.;,!?]\s*+|\s)(?:(?:and|but)\s++)?(?:then|after\s++that|afterwards)"
    r"|[.;!?]\s++(?:next|finally|lastly))\b(?:[,:]\s*+|\s++)",
    re.IGNORECASE,
)
_LINE_END = re.compile(r"\n\s*+")
_SENTENCE_END = re.compile(r"(?<=[.;!?])\s++")
_AND = re.compile(r"(?:,\s*+|\s)and\s++", re.IGNORECASE)
_BULLET = re.compile(r"(?:[0-9]{1,3}[.)]|[-*\u2022])\s++")
_FILLERS = re.compile(
    r"(?:(?:please|first(?:ly| of all)?|next|finally|lastly|also|now|then|ok|okay|hey|hi alex|alex|just"
    r"|(?:can|could|would|will) you(?: please)?|i (?:want|need|would like) you to|i'd like you to|go ahead and)"
    r"\b\s*+[,:]?\s*+)++",
    re.IGNORECASE,
)
_COURTESIES = (", please", " please", " for me", ", thanks", " thanks", ", thank you")

_QUOTES = {"'": "'", '"': '"', "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
"""Opening quotes, straight and typographic, and what closes them."""

_OPENING = re.compile(rf"(?:^|(?<=[\s(\[{{:=,]))[{''.join(_QUOTES)}]")


def split_at_then(text: str) -> list[str]:
    """Return the parts of a text that are to be done one after the other, stripped; none is empty."""
    return _split(text, _THEN)


def split_at_lines(text: str) -> list[str]:
    """Return the lines of a text, stripped; none is empty."""
    return _split(text, _LINE_END)


def split_at_sentences(text: str) -> list[str]:
    """Return the sentences of a text, stripped; none is empty."""
    return _split(text, _SENTENCE_END)


def split_at_and(text: str) -> list[str]:
    """Return what stands between the words "and" of a text, stripped; none is empty."""
    return _split(text, _AND)


def without_fillers(text: str) -> str:
    """Return a text without the words before it that make a request polite or put it in order."""
    text = text.strip()
    for words in (_BULLET, _FILLERS):
        if match := words.match(text):
            text = text[match.end() :]
    return text


def without_courtesies(text: str) -> str:
    """Return a text without the polite words after it."""
    bare = text.rstrip(".!?")
    for courtesy in _COURTESIES:
        if bare.lower().endswith(courtesy):
            return bare[: -len(courtesy)].rstrip()
    return text


def unquoted(text: str) -> str:
    """Return what stands in the quotes around a whole text; the text itself if there are none."""
    text = text.strip()
    if len(text) >= 2 and _QUOTES.get(text[0]) == text[-1] and text[-1] not in text[1:-1]:
        return text[1:-1]
    return text


def is_quoted(text: str) -> bool:
    """Return whether a whole text stands in quotes."""
    return unquoted(text) != text.strip()


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    protected = _quoted_spans(text)
    parts = []
    begin = 0
    quote = 0
    for match in separator.finditer(text):
        while quote < len(protected) and protected[quote][1] <= match.start():
            quote += 1
        if quote < len(protected) and protected[quote][0] < match.start():
            continue
        parts.append(text[begin : match.start()])
        begin = match.end()
    parts.append(text[begin:])
    return [part.strip() for part in parts if part.strip()]


def _quoted_spans(text: str) -> list[tuple[int, int]]:
    """Return where quoted texts begin and end, in order.

    A quote opens after a space or a bracket and closes before anything but a letter or digit, so that apostrophes
    are none. One that is not closed is not a quote; nor are those of its kind that follow, which saves looking.
    """
    spans = []
    unclosed: set[str] = set()
    position = 0
    while (found := _OPENING.search(text, position)) is not None:
        opening = found.end() - 1
        closing = _QUOTES[text[opening]]
        position = found.end()
        if closing in unclosed:
            continue
        end = _closing(text, closing, position)
        if end is None:
            unclosed.add(closing)
        else:
            spans.append((opening, end + 1))
            position = end + 1
    return spans


def _closing(text: str, quote: str, position: int) -> int | None:
    while (position := text.find(quote, position)) >= 0:
        if position + 1 == len(text) or not text[position + 1].isalnum():
            return position
        position += 1
    return None
