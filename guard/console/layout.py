"""What every page has around its content: the head, the way between the pages, and who is logged in."""

from importlib.resources import files
from typing import NamedTuple

import guard
from guard.console.markup import Content, Html, element, joined
from guard.console.parts import hash_
from guard.console.wording import badge

STYLE = files(__package__).joinpath("console.css").read_text(encoding="utf-8")
ICON = files(__package__).joinpath("icon.svg").read_text(encoding="utf-8")

PAGES = {
    "/": "Overview",
    "/decisions": "Decisions",
    "/policy": "Policy",
    "/obligations": "Obligations",
    "/exports": "Exports",
    "/about": "About",
}
"""The pages by path, in the order in which they are offered."""

_DOCTYPE = Html("<!doctype html>\n")
_SHIELD = Html(
    '<svg class="shield" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true" focusable="false">'
    '<path d="M16 2.5 27 6v9.5c0 7-4.7 11.7-11 14-6.3-2.3-11-7-11-14V6z"/>'
    '<path class="check" d="m10.5 16 4 4 7.5-8.5"/></svg>'
)


class Frame(NamedTuple):
    """What a page is shown with."""

    mode: str
    policy: str
    """The hash of the policy in force."""
    ready: bool
    now: float
    """Epoch seconds."""
    form_token: str
    """Goes with every form that changes something."""
    logged_in: bool
    """False on loopback without a token: there is nothing to log out of."""


def document(title: str, *body: Content) -> str:
    """Return a whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} \u00b7 Guard"),
        element("link", rel="icon", type="image/svg+xml", href="/icon.svg"),
        element("link", rel="stylesheet", href="/console.css"),
    )
    return joined((_DOCTYPE, element("html", head, element("body", *body), lang="en")))


def page(frame: Frame, path: str, title: str, *content: Content) -> str:
    """Return the page ``title`` with ``path`` marked among the pages."""
    links = [
        element("li", element("a", name, href=at, aria_current="page" if at == path else None))
        for at, name in PAGES.items()
    ]
    state = [
        badge("ok", "ready") if frame.ready else badge("bad", "not ready"),
        badge("ok", "enforcing") if frame.mode == "enforce" else badge("warn", frame.mode),
    ]
    leave = form(frame, "/logout", element("button", "Log out", class_="plain")) if frame.logged_in else None
    header = element(
        "header",
        element(
            "div",
            element("a", _SHIELD, element("span", "Guard"), href="/", class_="brand"),
            element("nav", element("ul", *links), aria_label="Pages"),
            element("div", *state, leave, class_="standing"),
            class_="wrap",
        ),
    )
    footer = element(
        "footer",
        element(
            "p",
            f"Guard {guard.__version__}, policy ",
            hash_(frame.policy),
            ". Times are UTC. License diligence for operators; no legal advice. "
            "Users are counted by keyed pseudonym; no prompt, answer or user is shown here.",
        ),
        class_="wrap",
    )
    main = element("main", element("h1", title), *content, id="main", class_="wrap", tabindex=-1)
    return document(title, element("a", "Skip to content", class_="skip", href="#main"), header, main, footer)


def form(frame: Frame, action: str, *content: Content) -> Html:
    """Return a form that changes something: it is posted, with the token that only a page of ours knows."""
    token = element("input", type="hidden", name="form_token", value=frame.form_token)
    return element("form", token, *content, method="post", action=action)
