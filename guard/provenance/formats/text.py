"""A JSON text in a window: what is behind is forgotten, what is ahead is read as it is needed."""

import codecs
import json
import re
from typing import Any

from guard.provenance.formats.error import DataError
from guard.provenance.formats.lines import sound
from guard.provenance.formats.members import members
from guard.provenance.formats.opened import LARGEST, Opened

CHUNK = 1 << 20
"""Bytes that are read at once, at least."""
_SPACE = re.compile(r"[ \t\r\n]*")


class Window:
    """The text from where it is read on. Positions are characters from there."""

    def __init__(self, file: Opened) -> None:
        self.line = 1
        """The line the text goes on in."""
        self.mark, content = file.bytes()
        """The byte order mark the file began with."""
        self._file, self._read = file, content.read
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._decode = json.JSONDecoder(object_pairs_hook=members).raw_decode
        self._text, self._at, self._ended = "", 0, False

    def skip(self, to: int) -> str:
        """Move on by ``to`` characters and over white space; return the character there, empty at the end."""
        self.line += self._text.count("\n", self._at, self._at + to)
        self._at += to
        character, space = self.ahead(0)
        self.line += self._text.count("\n", self._at, self._at + space)
        self._at += space
        return character

    def ahead(self, at: int) -> tuple[str, int]:
        """Return the first character from position ``at`` on that is no white space, and its position."""
        while True:
            found = _SPACE.match(self._text, self._at + at)
            end = found.end() if found else len(self._text)
            if end < len(self._text):
                return self._text[end], end - self._at
            if end - self._at > LARGEST:
                raise self.error("more white space than text; allowed: less than 64 MiB of it in a row")
            if not self._more():
                return "", len(self._text) - self._at

    def slice(self, begin: int, end: int) -> str:
        """Return the text between two positions."""
        return self._text[self._at + begin : self._at + end]

    def value(self, at: int, most: int = LARGEST) -> tuple[Any, int] | None:
        """Return the JSON value at position ``at`` and where it ends; None if it ends beyond ``most`` characters.

        Raises DataError where there is no JSON value, or only half of one.
        """
        while True:
            try:
                value, end = self._decode(self._text, self._at + at)
                raw = self._text[self._at + at : end]
                if "\\ud" in raw or "\\uD" in raw:
                    value = sound(value)
            except json.JSONDecodeError as error:
                # Half a value fails where the text ends, or is a text without an end.
                cut = error.pos >= len(self._text) - 16 or error.msg.startswith("Unterminated string")
                if cut and len(self._text) - self._at - at > most:
                    return None
                if not cut or not self._more():
                    where = f"{error.msg} in what begins here"
                    raise self.error(f"not JSON: {where}; allowed: whole JSON values", at) from error
            except RecursionError as error:
                raise self.error("a record is nested too deeply; allowed: less nested ones", at) from error
            else:
                # A number may go on where the text is cut, as in 1e+5.
                if end + 2 < len(self._text) or type(value) not in {int, float} or not self._more():
                    return value, end - self._at

    def line_at(self, at: int) -> int:
        """Return the line of position ``at``."""
        return self.line + self._text.count("\n", self._at, self._at + at)

    def error(self, what: str, at: int = 0) -> DataError:
        """Return the error that is ``what`` at position ``at``."""
        return self._file.error(self.line_at(at), what)

    def _more(self) -> bool:
        """Read on; what is behind is dropped, positions stay as they are. False at the end of the file."""
        while not self._ended:
            # Growing with the value keeps the attempts to decode a large one few.
            new = self._read(max(CHUNK, len(self._text) - self._at))
            self._ended = not new
            try:
                text = self._utf8.decode(new, final=self._ended)
            except UnicodeDecodeError as error:
                line = self.line_at(len(self._text) - self._at) + error.object[: error.start].count(b"\n")
                raise self._file.error(line, "not UTF-8 text; allowed: UTF-8") from error
            if text:
                self._text, self._at = self._text[self._at :] + text, 0
                return True
        return False
