"""HTML by construction: what is no ``Html`` yet is text, and is escaped where it becomes part of a page."""

from collections.abc import Iterable
from html import escape
from typing import Self


class Html(str):
    """Text that is HTML already; only ``element`` and ``joined`` make it from facts."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Return ``text`` as HTML that shows it; HTML comes back as it is."""
        return text if isinstance(text, cls) else cls(escape(text))


Content = str | None
"""Text to be escaped, ``Html``, or nothing."""

NOTHING = Html("")
_EMPTY = frozenset({"br", "circle", "hr", "input", "line", "link", "meta", "path", "polyline", "rect"})
_NAMES: dict[str, str] = {}


def element(tag: str, *content: Content, **attributes: str | float | bool | None) -> Html:
    """Return one element. A trailing ``_`` goes from an attribute's name and ``_`` within it is ``-``.

    An attribute that is None or False is left out, one that is True has no value.
    """
    written = [f"<{tag}"]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        shown = _NAMES.get(name) or _NAMES.setdefault(name, name.rstrip("_").replace("_", "-"))
        if value is True:
            written.append(f" {shown}")
        else:
            written.append(f' {shown}="{escape(value) if isinstance(value, str) else value}"')
    if tag in _EMPTY:
        written.append("/>")  # which HTML does without, and SVG within it does not
        return Html("".join(written))
    written.append(">")
    written += [part if type(part) is Html else escape(part) for part in content if part]
    written.append(f"</{tag}>")
    return Html("".join(written))


def joined(parts: Iterable[Content], between: Content = None) -> Html:
    """Return ``parts`` one after the other, each escaped unless it is HTML."""
    return Html(Html.of(between or "").join(Html.of(part) for part in parts if part))
