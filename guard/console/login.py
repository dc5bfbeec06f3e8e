"""The page that asks for the token."""

from guard.console.layout import document
from guard.console.markup import element
from guard.console.parts import code

WRONG = "That is not this Guard's token."
TOO_MANY = "Too many wrong tokens from this address. Wait a minute, then try again."
ENDED = "You are logged out."
FOREIGN = "The form came from another site, or from a browser that does not say where it came from. Try again here."


def login(next_: str, *, message: str = "", error: bool = False, exposed: bool = False) -> str:
    """Return the page. ``next_`` is where to go afterwards, ``exposed`` whether the token can be read on its way."""
    said = element("p", message, class_="said bad" if error else "said", role="alert" if error else "status")
    warned = element(
        "p",
        "This page did not come over HTTPS: whoever is on the way can read the token.",
        class_="said warn",
    )
    asked = element(
        "form",
        # For password managers: they keep a secret by name.
        element("input", type="text", name="username", value="guard", autocomplete="username", hidden=True),
        element("label", "Token of the admin port", for_="token"),
        element(
            "input", type="password", name="token", id="token", required=True, autocomplete="current-password",
            autocapitalize="off", spellcheck="false", maxlength=4096, aria_describedby="hint",
            aria_invalid="true" if error else None,
        ),
        element("p", "It stands in the file that ", code("admin_token_file"), " names.", id="hint", class_="quiet"),
        element("input", type="hidden", name="next", value=next_),
        element("button", "Log in"),
        method="post", action="/login",
    )  # fmt: skip
    card = element("div", said if message else None, warned if exposed else None, asked, class_="card")
    return document("Log in", element("main", element("h1", "Guard"), card, id="main", class_="login"))
