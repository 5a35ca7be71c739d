"""Takes secrets out of a text that comes in pieces: one that is split over two of them is found all the same."""

from __future__ import annotations

import re

from alex_actors.redact import BEARER, PEM_BEGIN, PEM_END, REDACTED, Redactor

# What is neither a part of a word nor in any token: no shape but a URL's password and a PEM block reaches over it.
_BREAK = re.compile(r"[^\w\-.~+/=:@]")
# A URL's user and password, of any length: a secret in them may be shorter once it is replaced.
_URL_USER = re.compile(r"://[^\s/@:?#]*+(?::[^\s/@?#]*+)?")
_URL_MORE = re.compile(r"[^\s/@?#]*+")
_TOKEN = re.compile(r"\s*+[A-Za-z0-9._~+/=-]*+")  # what may follow "bearer"
_PEM_PREFIX = "-----BEGIN "
_PEM_END = re.compile(rf"(?<![A-Za-z0-9_-]){PEM_END.pattern}")  # one that a token runs into goes with the token
_PEM_PART = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,7}[A-Z0-9]*-{0,5}")
_TAKES_A_TOKEN = ("bearer", "basic")

_SHORT = 1000
"""Characters that are looked at with each piece. When more is held back, a quarter as much has to come before the
next look: so all looks together are linear in the text, and little is held back that could be told."""


class RedactedStream:
    """Gives out a text without its secrets as it comes, and holds back what may be the beginning of one.

    All that it gives out, joined, is what ``Redactor.text`` makes of the whole text, however it was split. Held
    back are: what may be the beginning of a secret that is known by its value; the last word, as long as nothing
    follows it, since a token may be growing there; a private key until its end.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._known = [_Replaced(secret) for secret in redactor.secrets if secret]
        self._held: list[str] = []
        self._length = 0
        self._look_at = 0
        """The length at which what is held back is looked at again."""

    def add(self, text: str) -> str:
        """Take the next piece, and return what can be told by now: maybe nothing."""
        for known in self._known:
            text = known.add(text)
        self._hold(text)
        if self._length < self._look_at:
            return ""
        held = self._held_back()
        cut = _safe_cut(held)
        self._hold(held[cut:])
        self._look_at = 0 if self._length < _SHORT else self._length + self._length // 4
        return self._redactor.text(held[:cut]) if cut else ""

    def rest(self) -> str:
        """Return what was held back: there is no more to come."""
        text = ""
        for known in self._known:
            text = known.add(text) + known.rest()
        self._hold(text)
        self._look_at = 0
        text = self._held_back()
        return self._redactor.text(text) if text else ""

    def _hold(self, text: str) -> None:
        self._held.append(text)
        self._length += len(text)

    def _held_back(self) -> str:
        text, self._held, self._length = "".join(self._held), [], 0
        return text


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

    Redacted one by one, both parts are what they are in the whole. Linear: it goes back over the text once.
    """
    end, keys = _private_keys(text)
    urls = _Urls(text, end, keys)
    for cut in reversed([place.end() for place in _BREAK.finditer(text, 0, end)]):
        if cut > end:
            continue
        while keys and keys[-1][0] >= cut:
            keys.pop()
        if keys and cut < keys[-1][1]:
            end = keys[-1][0]
        elif (url := urls.over(cut)) is not None:
            end = url
        elif (word := _before_a_token(text, cut)) is not None:
            end = word
        else:
            return cut
    return 0


class _Urls:
    """Where URLs are that have, or may yet have, a password: asked from the end of a text to its beginning."""

    def __init__(self, text: str, end: int, keys: list[tuple[int, int]]) -> None:
        """No more than ``end`` is looked at. ``keys`` are private keys, each of which will be one word."""
        self._text = text
        self._end = end
        self._keys = tuple(keys)
        self._begin = len(text)
        self._after = 0

    def over(self, cut: int) -> int | None:
        """Return where the URL begins whose password a cut would split; None if there is none."""
        if self._begin >= cut:
            self._begin = self._text.rfind("://", 0, cut)
            self._after = self._reach(self._begin) if self._begin >= 0 else 0
        return self._begin if self._begin >= 0 and cut < self._after else None

    def _reach(self, begin: int) -> int:
        """Return up to where there must be no cut; 0 if it is known by now that there is no password."""
        after = _end_of(_URL_USER, self._text, begin, self._end)
        for first, last in self._keys:
            if first < after < last:
                after = _end_of(_URL_MORE, self._text, last, self._end)
        if after >= self._end:
            return len(self._text) + 1
        return after + 1 if self._text[after] == "@" else 0


def _before_a_token(text: str, cut: int) -> int | None:
    """Return where the word ends before a cut that is to be cut off from what follows by no means; None if none.

    That is "bearer" or "basic", if a token follows, or may yet.
    """
    end = cut
    while end and text[end - 1].isspace():
        end -= 1
    word = next((one for one in _TAKES_A_TOKEN if text[end - len(one) : end].lower() == one), None)
    if end == cut or word is None:
        return None
    undecided = _end_of(_TOKEN, text, cut, len(text)) == len(text)
    return end if undecided or BEARER.match(text, end - len(word)) else None


def _end_of(pattern: re.Pattern[str], text: str, begin: int, end: int) -> int:
    """Return where a match ends that begins here; where it begins, if there is none."""
    match = pattern.match(text, begin, end)
    return begin if match is None else match.end()


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
