"""What a stranger wrote, made harmless for a terminal.

A terminal takes control characters as commands: colours, titles, links (OSC 8), what the clipboard has (OSC 52),
answers to be typed in a user's name. Overrides of the direction (Unicode TR 9) show text in another order than it
is in; invisible characters and tags hide what is there. All of them are shown as a sign instead.
"""

from __future__ import annotations

import json
import re

_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed; ESC and the CSI of one byte
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, invisible
    "\ud800-\udfff\U000e0000-\U000e007f]"  # lone surrogates, tags
)
_ESCAPE_IN_JSON = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_SPACES = re.compile(r"\s+")
_PICTURES, _DELETE, _UNKNOWN = 0x2400, "\u2421", "\ufffd"


def harmless(text: str) -> str:
    """Return a text with a sign in place of each character that steers a terminal or hides something.

    Control characters become their pictures (U+241B for ESC), others U+FFFD. Lines and tabs stay; CR LF is a line.
    """
    return _HARMFUL.sub(_sign, text.replace("\r\n", "\n"))


def one_line(text: str, longest: int | None = None) -> str:
    """Return a text, harmless, on one line; cut to ``longest`` characters, with an ellipsis, if it has more."""
    if longest is not None:
        text = text[: 4 * longest]  # a megabyte is not searched for its first words
    line = _SPACES.sub(" ", harmless(text)).strip()
    return line if longest is None or len(line) <= longest else f"{line[: longest - 1]}…"


def harmless_json(document: str) -> str:
    """Return JSON that says the same, without a character that steers a terminal: they are escaped.

    JSON escapes the other control characters by itself (RFC 8259, 7).
    """
    return _ESCAPE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], document)


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(_PICTURES + code)
    return _DELETE if code == 0x7F else _UNKNOWN
