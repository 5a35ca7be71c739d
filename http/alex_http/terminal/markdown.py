"""Answers as a person reads them on a terminal: Markdown, laid out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown
from rich.syntax import Syntax
from rich.text import Text

from alex_http.terminal.harmless import harmless

WIDEST = 120
"""Columns of an answer at most: longer lines are hard to read."""
LONGEST = 50_000
"""Characters of an answer that is laid out, in a second or two at worst; a longer one is shown as it is."""
LONGEST_CODE = 5_000
"""Characters of code that are coloured in an answer. Lexers take the square of some texts' length, or worse."""
_LANGUAGES = frozenset({
    "bash", "c", "c++", "console", "cpp", "css", "diff", "go", "html", "ini", "java", "javascript", "js",
    "json", "kotlin", "lua", "python", "python3", "py", "rs", "rust", "sh", "shell", "sql", "toml", "ts",
    "typescript", "xml", "yaml", "yml",
})  # fmt: skip
"""Those that are coloured. Each took less than a quarter of a second for 3,000 characters of any two, repeated."""
_TRAILING = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)
"""Blanks up to the edge of the terminal, which would be copied along, and wrapped where it is made narrower."""


class _Heading(Heading):
    """A heading at the left, as everything else is."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class _Code(CodeBlock):
    """Code, indented, without a background of its own: what a terminal has may be dark or light."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield it, coloured."""
        code = str(self.text).rstrip()
        yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, padding=(0, 2))


class HarmlessMarkdown(Markdown):
    """CommonMark with tables, as the model wrote it: lines stay lines, HTML is text, no link is a terminal's link.

    What is written as an entity (``&#x202e;``) is no character before it is parsed; so each piece is made harmless
    after that.
    """

    elements = Markdown.elements | {"heading_open": _Heading, "fence": _Code, "code_block": _Code}

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=False)
        parser = MarkdownIt().enable(["strikethrough", "table"]).disable(["html_inline", "html_block"])
        self.markup = harmless(text)
        self.parsed = parser.parse(self.markup)
        _make_harmless(self.parsed)
        _limit_colours(self.parsed)


def _limit_colours(tokens: Iterable[Token]) -> None:
    left = LONGEST_CODE
    for token in tokens:
        if token.type == "fence":
            if token.info.partition(" ")[0].lower() in _LANGUAGES and len(token.content) <= left:
                left -= len(token.content)
            else:
                token.info = ""


def _make_harmless(tokens: Iterable[Token]) -> None:
    for token in tokens:
        token.content, token.info = harmless(token.content), harmless(token.info)
        token.attrs = {name: harmless(f"{value}") for name, value in token.attrs.items()}
        if token.type == "softbreak":
            token.type = "hardbreak"
        _make_harmless(token.children or ())


class MarkdownAnswers:
    """Answers on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, answer: str) -> None:
        """Write an answer, laid out; as plain text if that cannot be done."""
        self._console.file.write(self._laid_out(answer))
        self._console.file.flush()

    def _laid_out(self, answer: str) -> str:
        width = min(self._console.width, WIDEST)
        if len(answer) <= LONGEST:
            with suppress(Exception):  # whatever the layout trips over, the answer is shown
                with self._console.capture() as captured:
                    self._console.print(HarmlessMarkdown(answer), width=width)
                return _TRAILING.sub(r"\1", captured.get())
        with self._console.capture() as captured:
            self._console.print(Text(harmless(answer)), overflow="fold")
        return captured.get()
