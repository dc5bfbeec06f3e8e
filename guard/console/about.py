"""What the numbers mean, what no gateway sees, and what else this port answers."""

from collections.abc import Sequence

import guard
from guard.console.layout import Frame, page
from guard.console.markup import Html, element
from guard.console.parts import code, facts, hash_, items, nothing, section, table
from guard.console.verdict import Facts

_READINGS = {
    "identities": "every identity, a shared credential of an application included",
    "people": "people only: a shared credential of an application is no user",
}
_VERDICTS = (
    ("allow", "No rule spoke against the request."),
    ("flag", "Something was noted about it, or mode shadow would have refused it."),
    ("deny", "It was refused, or its answer was ended early."),
    ("not evaluated", "It was served although a check could not be made: never a pass."),
)
_UNSEEN = (
    "Requests that reach the inference server past Guard.",
    "Users of products and affiliates behind other gateways, until they are merged or declared.",
    "Whether an id that a caller states is a person, a session or an application.",
    "Images, audio, video and files: no rule reads them; the policy says whether they pass.",
    "What callers do with an answer after it has left, but for data sets that are brought to the export gate.",
    "Duties outside of traffic, such as notices in a product: somebody has to state them.",
)
_PATHS = (
    ("/metrics", "metrics for Prometheus"),
    ("/readyz", "whether Guard can do its work"),
    ("/api/v1/usage", "users by license"),
    ("/api/v1/policy", "the policy and its loads"),
    ("/api/v1/decisions", "the last decisions"),
    ("/api/v1/history", "decisions by hour"),
    ("/api/v1/obligations", "everything owed"),
    ("/api/v1/due", "what is open or comes due"),
    ("/api/v1/health", "how every part is"),
    ("/api/v1/export/checks", "the last export checks"),
    ("/api/v1/candidate", "the candidate policy and its differences"),
)


def about(frame: Frame, *, usage: Sequence[Facts]) -> str:
    """Return the page; ``usage`` has the definition that each license's users are counted by."""
    rows = [
        (
            str(row["license"]),
            str(row.get("definition") or ""),
            _READINGS.get(str(row.get("reading")), str(row.get("reading") or "")),
        )
        for row in usage
    ]
    counting = table("What is counted", ("License", "What is counted", "Who is a user"), rows) or nothing(
        "No license with counted users is configured.", "What a month and a user are stands here for each license."
    )
    return page(
        frame,
        "/about",
        "About",
        section("This Guard", _version(frame), id="version"),
        section("What is counted", counting, id="counting"),
        section("Verdicts", facts(_VERDICTS), id="verdicts"),
        section(
            "What is not visible here",
            items(_UNSEEN),
            id="unseen",
            lead="Numbers on these pages leave it out, and say so where they can.",
        ),
        section("In other forms", _links(), id="paths", lead="The same facts as JSON, and for Prometheus."),
    )


def _version(frame: Frame) -> Html:
    return facts(
        [("version", guard.__version__), ("policy", hash_(frame.policy)), ("mode", frame.mode), ("times", "UTC")]
    )


def _links() -> Html:
    entries = (element("span", element("a", code(path), href=path), f" {what}") for path, what in _PATHS)
    return items(entries)
