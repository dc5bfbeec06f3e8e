"""The policy: what is in force, how the last loads went, what would be decided otherwise; and a button to load it."""

from collections.abc import Iterable, Mapping, Sequence

from guard.console.layout import Frame, form, page
from guard.console.markup import NOTHING, Content, Html, element, joined
from guard.console.parts import code, facts, hash_, items, more, nothing, section, table
from guard.console.verdict import Facts
from guard.console.wording import badge, counted, moment, naturally, verdict

DIFFERENCES = 20
"""As many of the last differences of a candidate policy are shown."""


def policy(frame: Frame, *, found: Facts, candidate: Facts, unknown_models: bool, reloaded: Facts | None = None) -> str:
    """Return the page. ``reloaded`` is the outcome of a load that was just asked for."""
    return page(
        frame,
        "/policy",
        "Policy",
        _outcome(reloaded) if reloaded is not None else None,
        section("In force", _in_force(frame, found), id="force"),
        section("Warnings", _warnings(found.get("warnings") or ()), id="warnings"),
        section("Models and their licenses", _models(found.get("models") or {}, unknown_models), id="models"),
        _tenants(found.get("tenants")),
        section("Loads", _loads(frame, found.get("reloads") or ()), id="loads",
                lead="Every time the policy was loaded, newest first: the last 50 of this process."),
        section("Candidate", _candidate(frame, candidate), id="candidate",
                lead="Another policy, under which finished requests are decided again: what would differ. "
                     "Nothing of it is enforced."),
    )  # fmt: skip


def _outcome(result: Facts) -> Html:
    problems = [str(problem) for problem in result.get("problems") or ()]
    restart = [str(name) for name in result.get("restart") or ()]
    if not result.get("ok"):
        said = element(
            "p",
            element("strong", "Not loaded: "),
            f"{counted(len(problems), 'problem')}. The last good policy stays in force, whole.",
        )
        return element("div", said, items(problems, "problems"), class_="said bad", role="alert", tabindex=-1)
    waits = element("p", "Waiting for a restart: ", ", ".join(restart)) if restart else None
    said = element("p", element("strong", "Loaded. "), "In force is ", hash_(result.get("hash")), ".")
    return element("div", said, waits, class_="said ok", role="status")


def _in_force(frame: Frame, found: Facts) -> Html:
    shown = facts(
        [
            ("version", hash_(found.get("hash"))),
            ("mode", str(found.get("mode") or frame.mode)),
            ("at a limit", str(found.get("at_limit") or "").replace("_", " ")),
        ]
    )
    button = form(frame, "/policy/reload", element("button", "Load the policy now"))
    hint = element(
        "p",
        "Changes of its files are taken by themselves within three seconds. A bad policy changes nothing.",
        class_="quiet",
    )
    return joined((shown, element("div", button, hint, class_="action")))


def _warnings(warnings: Sequence[object]) -> Html:
    return items((str(warning) for warning in warnings), "problems") or nothing(
        "The policy warns of nothing.",
        "Facts of a license that nobody confirmed, statements that are missing and relaxations that expire stand here.",
    )


def _models(models: Mapping[str, Facts], unknown: bool) -> Html:
    rows = [
        (
            code(name),
            ", ".join(model["licenses"]) or "undetermined",
            ", ".join(sorted(model["blocking"], key=naturally)) or "none",
            ", ".join(
                f"{field}: {action}" for field, action in sorted(model.get("fields", {}).items()) if action != "allow"
            )
            or "none",
        )
        for name, model in sorted(models.items())
    ]
    headings = ("Model", "Licenses", "Categories that block", "Fields that are held back")
    shown = table("Models and their licenses", headings, rows) or nothing(
        "No model is configured.", "Each served model stands here with the stack of licenses it is under."
    )
    rest = "served, license undetermined" if unknown else "refused"
    return joined((shown, element("p", f"Any other model: {rest}.", class_="quiet")))


def _tenants(tenants: object) -> Html:
    if not tenants:
        return NOTHING
    names = (
        [each.get("name") if isinstance(each, Mapping) else each for each in tenants]
        if isinstance(tenants, Iterable)
        else []
    )
    return section(
        "Tenants",
        items((code(name) for name in names), "tags"),
        id="tenants",
        lead="In the order in which they are asked whose a request is.",
    )


def _loads(frame: Frame, loads: Sequence[Facts]) -> Html:
    rows = [
        (
            moment(load.get("at"), frame.now),
            badge("ok", "loaded") if load.get("ok") else badge("bad", "not loaded"),
            hash_(load.get("hash")),
            _said(load),
        )
        for load in reversed(loads)
    ]
    return table("Loads of the policy", ("Time (UTC)", "Outcome", "In force after it", "Problems"), rows) or nothing(
        "Nothing was loaded yet.", "Each load of the policy stands here with every problem it met."
    )


def _said(load: Facts) -> Content:
    restart = ", ".join(map(str, load.get("restart") or ()))
    return joined(
        (
            items((str(problem) for problem in load.get("problems") or ()), "problems"),
            f"waits for a restart: {restart}" if restart else None,
        )
    )


def _candidate(frame: Frame, found: Facts) -> Html:
    policy, differences = found.get("candidate"), found.get("differences") or ()
    if policy is None:
        return nothing(
            "No candidate is set.",
            "With ", code("candidate: FILE"), " in the configuration every finished request is decided again under "
            "that file, and what would differ stands here before it is in force.",
        )  # fmt: skip
    if not policy["ok"]:
        return joined(
            (
                element("p", badge("bad", "not loaded")),
                items((str(problem) for problem in policy["problems"]), "problems"),
            )
        )
    said = element(
        "p",
        hash_(policy["hash"]),
        f": {counted(policy['compared'], 'request')} compared, {policy['differing']:,} decided otherwise.",
    )
    rows = [
        (
            code(item["reference"]),
            moment(item["time"], frame.now),
            _decided(item["active"]),
            _decided(item["candidate"]),
            str(item.get("model") or ""),
        )
        for item in differences[:DIFFERENCES]
    ]
    shown = table(
        "What the candidate would have decided otherwise",
        ("Reference", "Time (UTC)", "In force", "Candidate", "Model"),
        rows,
    )
    warned = items(str(warning) for warning in policy.get("warnings") or ())
    return joined(
        (said, more("It warns", warned) if warned else None, shown or nothing("Nothing is decided otherwise so far."))
    )


def _decided(outcome: Facts) -> Html:
    named = [outcome["reason"], outcome["license"], outcome["clause"], outcome["category"], *outcome["edits"]]
    return joined(
        (verdict(outcome["verdict"]), ", ".join(str(word) for word in named if word and word != "none")), Html(" ")
    )
