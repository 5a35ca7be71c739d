"""Takes secrets out of a text that comes in pieces: one that is split over two of them is found all the same."""

from __future__ import annotations

import re

from alex_actors.redact import PEM_BEGIN, PEM_END, REDACTED, Redactor

# What is neither a part of a word nor in any token: no shape but a URL's password and a PEM block reaches over it.
_BREAK = re.compile(r"(?s).*[^\w\-.~+/=:@]")
_BLANK = re.compile(r"(?s).*\s")
_PEM_PREFIX = "-----BEGIN "
_PEM_END = re.compile(rf"(?<![A-Za-z0-9_-]){PEM_END.pattern}")  # one that a token runs into goes with the token
_PEM_PART = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,7}[A-Z0-9]*-{0,5}")
_TAKES_A_TOKEN = ("bearer", "basic")


class RedactedStream:
    """Gives out a text without its secrets as it comes, and holds back what may be the beginning of one.

    All that it gives out, joined, is what ``Redactor.text`` makes of the whole text, however it was split. Held
    back are: what may be the beginning of a secret that is known by its value; the last word, as long as nothing
    follows it, since a token may be growing there; a private key until its end.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._known = [_Replaced(secret) for secret in redactor.secrets if secret]
        self._held = ""

    def add(self, text: str) -> str:
        """Take the next piece, and return what can be told by now: maybe nothing."""
        for known in self._known:
            text = known.add(text)
        self._held += text
        cut = _safe_cut(self._held)
        told, self._held = self._held[:cut], self._held[cut:]
        return self._redactor.text(told) if told else ""

    def rest(self) -> str:
        """Return what was held back: there is no more to come."""
        text = ""
        for known in self._known:
            text = known.add(text) + known.rest()
        text, self._held = self._held + text, ""
        return self._redactor.text(text) if text else ""


class _Replaced:
    """Replaces one secret as ``str.replace`` does, piece by piece."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._held = ""

    def add(self, text: str) -> str:
        *before, last = (self._held + text).split(self._secret)
        begin = max(0, len(last) - len(self._secret) + 1)
        while (begin := last.find(self._secret[0], begin)) >= 0 and not self._secret.startswith(last[begin:]):
            begin += 1
        cut = len(last) if begin < 0 else begin
        self._held = last[cut:]
        return REDACTED.join((*before, last[:cut]))

    def rest(self) -> str:
        text, self._held = self._held, ""
        return text


def _safe_cut(text: str) -> int:
    """Return the last place at which a text can be cut, whatever follows, so that no shape is cut; 0 if none.

    Redacted one by one, both parts are what they are in the whole.
    """
    end, keys = _private_keys(text)
    places = _BLANK if "://" in text else _BREAK  # a password in a URL may have any character but a blank
    while (place := places.match(text, 0, end)) is not None:
        cut = place.end()
        within = next((begin for begin, after in keys if begin < cut < after), None)
        word = text[:cut].rstrip()
        if within is not None:
            end = within
        elif len(word) < cut and word[-6:].lower().endswith(_TAKES_A_TOKEN):
            end = len(word)
        else:
            return cut
    return 0


def _private_keys(text: str) -> tuple[int, list[tuple[int, int]]]:
    """Return where a private key begins that has not ended, or the end of the text; and those that have ended."""
    keys: list[tuple[int, int]] = []
    position = 0
    while (begin := text.find(_PEM_PREFIX, position)) >= 0:
        opened = PEM_BEGIN.match(text, begin)
        if opened is None:
            if _PEM_PART.fullmatch(text, begin):
                return begin, keys
            position = begin + 1
            continue
        closed = _PEM_END.search(text, opened.end())
        if closed is None:
            return begin, keys
        position = closed.end()
        keys.append((begin, position))
    return len(text), keys
