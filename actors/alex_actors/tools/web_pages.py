"""What a model is given of a page: its text, from bytes of whatever kind and character set."""

from __future__ import annotations

import codecs
import re

from html_to_markdown import ConversionOptions, PreprocessingOptions, convert

from alex_actors.values import Value

_CHARSETS = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|us-ascii|ascii|iso-?8859-[0-9]{1,2}|latin-?[0-9]{1,2}|windows-?[0-9]{3,4}|cp[0-9]{3,4}|"
    r"shift[_-]?jis|euc-?(jp|kr)|iso-2022-jp|gb2312|gbk|gb18030|big5|koi8-?[ru]|macintosh|mac-?roman"
)
"""Those that are used. Python has others, punycode for one, whose time grows with the square of the length."""

_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([a-zA-Z0-9_-]{2,30})""", re.IGNORECASE)
_META_WITHIN = 1024
"""Bytes in which HTML says it (HTML Living Standard, "prescan a byte stream")."""

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

_HTML = ("text/html", "application/xhtml+xml")
_TEXT = re.compile(
    r"text/.+|application/(.+\+)?(json|xml|yaml|toml)|application/(json5|x-yaml|x-ndjson|jsonl|javascript|x-javascript|"
    r"ecmascript|sql|graphql|rtf|x-sh|x-www-form-urlencoded|x-tex|x-latex)|image/svg\+xml|message/.+"
)

_SPAN = re.compile(r"(col|row)span(?=\s{0,100}=\s{0,100}[\"']?\s{0,100}\+?(\d{0,9}))", re.IGNORECASE)
_WIDEST = 100
_CELLS = 10_000
"""Cells that one spans, and that all of a page span together, each way. A megabyte of HTML could ask for gigabytes
of table otherwise: a cell may span 1,000 columns and 65,534 rows. The largest tables of Wikipedia stay within."""


class MediaType(Value, frozen=True):
    """What a ``Content-Type`` says."""

    name: str
    """Such as ``text/html``, in small letters; empty if it says nothing."""
    charset: str | None = None

    @classmethod
    def of(cls, header: str) -> MediaType:
        """Return what a header says; its text may be anything."""
        name, _, rest = header.partition(";")
        found = re.search(r"""(?:^|;)\s*charset\s*=\s*["']?([^"';\s]{1,40})""", rest, re.IGNORECASE)
        return cls(name.strip().lower()[:100], found[1].lower() if found else None)

    @property
    def is_html(self) -> bool:
        """Return whether it is a page."""
        return self.name in _HTML

    @property
    def is_text(self) -> bool:
        """Return whether people can read it; what has no type may be."""
        return not self.name or self.is_html or _TEXT.fullmatch(self.name) is not None

    def may_have_nul(self, data: bytes) -> bool:
        """Return whether these bytes may be a text though they have NULs: in UTF-16 nearly all texts do."""
        return "16" in (self.charset or "") or data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def decoded(data: bytes, media: MediaType) -> str:
    """Return the text of bytes; what does not fit its character set is shown by replacement characters.

    A byte order mark counts most, then the header, then what the page says itself, then UTF-8.
    """
    for bom, charset in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(charset, errors="replace")
    named = media.charset
    if named is None and media.is_html:
        found = _META_CHARSET.search(data[:_META_WITHIN])
        named = found[1].decode("ascii").lower() if found else None
        # It was found by reading bytes as ASCII, so these are no UTF-16, whatever it says.
        named = "utf-8" if named is not None and named.startswith("utf") else named
    if named is not None and _CHARSETS.fullmatch(named):
        try:
            return data.decode(named, errors="replace")
        except LookupError:  # Python lacks it
            pass
    return data.decode(errors="replace")


def readable(data: bytes, media: MediaType) -> str:
    """Return what a page, or another text, says: a page as Markdown, without scripts and styles."""
    text = decoded(data, media)
    return _markdown(text) if media.is_html else text


def _markdown(html: str) -> str:
    """Return a page as Markdown, its title and description above. Navigation and forms are left out, unless they
    are all that there is. If cells span too many others, none does."""
    html = _without_wide_cells(html)
    for tidy in (True, False):
        options = ConversionOptions(
            max_depth=256,  # nested deeper, it is no page for people; and far from the end of a thread's stack
            skip_images=True,  # no model sees them from here, and they may be in the page whole
            exclude_selectors=["svg", "iframe"],
            preprocessing=PreprocessingOptions(enabled=tidy),
        )
        content = (convert(html, options).content or "").strip()
        if content:
            break
    return content


def _without_wide_cells(html: str) -> str:
    spans = [int(span[2] or 1) for span in _SPAN.finditer(html)]
    if not spans or (max(spans) <= _WIDEST and sum(spans) <= _CELLS):
        return html
    return _SPAN.sub(r"\1-span", html)  # an attribute that says nothing
