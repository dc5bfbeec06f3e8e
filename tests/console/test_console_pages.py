"""The console's pages: the facts are on them, nothing unescaped is, and nothing needs what the CSP forbids."""

import re
from html.parser import HTMLParser

import pytest
from console_world import (
    CANDIDATE,
    CHECKS,
    DECISIONS,
    DUE,
    EXPLAINED,
    FRAME,
    HEALTH,
    NOW,
    OBLIGATIONS,
    POLICY,
    REFERENCE,
    USAGE,
    decided,
    forecast,
    history,
    limit,
    usage,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.console.about import about
from guard.console.decision import decision, unknown
from guard.console.decisions import SHOWN, Sought, decisions
from guard.console.exports import exports
from guard.console.layout import ICON, PAGES, STYLE
from guard.console.login import login
from guard.console.obligations import obligations
from guard.console.overview import overview
from guard.console.policy import policy


def the_overview(usage=USAGE, due=DUE, health=HEALTH, warnings=("w",), frame=FRAME):
    return overview(frame, usage=usage, due=due, health=health, warnings=warnings)


def the_decisions(recent=DECISIONS, found=None, **sought):
    return decisions(FRAME, recent=recent, history=history() if found is None else found, sought=Sought(**sought))


def the_policy(found=POLICY, candidate=CANDIDATE, **more):
    return policy(FRAME, found=found, candidate=candidate, unknown_models=False, **more)


EVERY = {
    "overview": the_overview,
    "decisions": the_decisions,
    "decision": lambda: decision(FRAME, REFERENCE, EXPLAINED),
    "unknown": lambda: unknown(FRAME, "nobody"),
    "policy": the_policy,
    "reloaded": lambda: the_policy(reloaded={"ok": False, "problems": ["guard.yaml:1: <b>"], "restart": []}),
    "obligations": lambda: obligations(FRAME, due=DUE, owed=OBLIGATIONS),
    "exports": lambda: exports(FRAME, checks=CHECKS),
    "about": lambda: about(FRAME, usage=USAGE),
    "login": lambda: login("/policy", message="no", error=True, exposed=True),
}


class Reader(HTMLParser):
    """Collects text, tags and attributes, and insists that tags balance and that ids are unique."""

    VOID = frozenset({"meta", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []
        ids = [value for name, value in self.attributes if name == "id"]
        assert len(ids) == len(set(ids)), ids

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def values(self, *names):
        return [value for name, value in self.attributes if name in names]


@pytest.mark.parametrize("name", EVERY)
def test_every_page_is_whole_and_needs_nothing_that_the_content_security_policy_forbids(name):
    text = EVERY[name]()
    read = Reader(text)
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert not {"script", "style", "iframe", "img", "object"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name == "style" or name.startswith("on")]
    assert all(re.match(r"[/#](?!/)", value) for value in read.values("href", "src", "action"))
    assert read.tags.count("h1") == read.tags.count("main") == 1
    named = set(read.values("id"))
    pointed = " ".join(read.values("aria-labelledby", "aria-describedby")).split()
    assert set(pointed) <= named
    assert read.tags.count("table") == read.tags.count("caption")
    assert read.tags.count("label") == len([tag for tag in read.tags if tag in {"input", "select"}]) - read.values(
        "type"
    ).count("hidden") - (name == "login")


def test_the_style_and_the_icon_ask_for_nothing():
    assert "url(" not in STYLE + ICON
    assert "@import" not in STYLE
    for wanted in (
        "prefers-color-scheme: dark",
        "prefers-reduced-motion",
        "@media print",
        ":focus-visible",
        "attr(data-label)",
    ):
        assert wanted in STYLE


def test_every_page_can_be_reached_and_knows_where_it_is():
    for name, at in (("overview", "/"), ("decisions", "/decisions"), ("policy", "/policy"), ("about", "/about")):
        read = Reader(EVERY[name]())
        assert set(PAGES) <= set(read.values("href"))
        assert f'href="{at}" aria-current="page"' in EVERY[name]()


def words(page):
    return Reader(page).text


# What each page says.


def test_a_license_shows_its_count_bounds_state_and_forecast():
    read = Reader(the_overview())
    for expected in (
        "612,000,000 users in 2026-11", "true number: 612,000,000 to 612,500,000", "700,000,000 users (clause 2) ! approaching",
        "87.5% of the limit by the upper bound of 612,500,000; acts at run time", "! expected to be passed", "earliest 2026-12-02 middle 2026-12-09 latest 2027-01-14",
        "22 days of this month", "60,000 users (the operator's limit)", "at least 1,204", "12 requests named no user",
        "90 users declared: mobile app", "attestation missing", "early warning: the license tests another date",
        "not expected to be passed", "limit 700,000,000, far above this chart",
    ):  # fmt: skip
        assert expected in read.text, expected
    assert "612,000,000 of 700,000,000 users, 87.5% by the upper bound of 612,500,000, approaching" in read.values(
        "aria-label"
    )
    assert "apache-2.0 55,120 exact 2026-11" in read.text, "without a limit it is a line of a table"
    assert read.text.count("2026-11-22 612,000,000") == 1, "the chart's numbers are a table, too"


@pytest.mark.parametrize(
    ("limits", "due", "said"),
    [
        ([], [], "No license here limits its users"),
        ([limit(state="ok")], [], "Inside the licenses As far as"),
        ([limit(state="approaching")], [], "Inside the licenses; close to a limit"),
        ([limit(state=None, attestation="missing")], [], "Not shown to be inside every license"),
        ([limit(state=None, attestation="shown")], [], "Inside the licenses As far as"),
        ([limit(state=None, attestation="beyond")], [], "Over a license's limit"),
        ([limit(state="over"), limit(state="ok")], [], "Over a license's limit"),
        ([limit(state="ok"), limit(state="over", clause="")], [], "Inside the licenses; over a limit of your own"),
        ([limit(state="approaching"), limit(state=None, attestation="missing")], [], "Not shown to be inside every license; close"),
        ([limit(state="ok")], [DUE[2]], "Inside the licenses; 1 duty overdue"),
    ],
)  # fmt: skip
def test_the_first_glance_answers_whether_we_are_inside_the_licenses(limits, due, said):
    assert said in words(the_overview([usage(limits=limits)], due, []))


def test_what_is_owed_next_comes_first_and_what_is_met_not_at_all():
    text = words(the_overview())
    owed = text[text.index("Owed next") : text.index("All obligations")]
    places = [owed.index(what) for what in ("State where Built", "The attestation of", "Attest the users of June")]
    assert places == sorted(places)
    assert "by 2026-12-01 (in 9 days)" in owed
    assert "by 2026-11-01 (21 days ago)" in owed
    assert "pass on the terms" not in owed


def test_parts_that_are_ill_are_on_the_first_glance_in_words():
    text = words(the_overview())
    assert "audit log: No space left on device" in text[: text.index("Owed next")]
    assert "user ledger ✓ ok sqlite users 41,200" in text
    assert "judge \u2013 off" in text
    assert "Guard is not ready" in words(the_overview(frame=FRAME._replace(ready=False)))


@pytest.mark.parametrize(
    ("attestation", "said"),
    [("shown", "attested"), ("missing", "attestation missing"), ("open", "attestation leaves it open"),
     ("beyond", "beyond, as attested"), (None, "not tested by this count")],
)  # fmt: skip
def test_a_limit_on_a_past_month_shows_its_attestation_and_no_state(attestation, said):
    text = words(
        the_overview([usage(users=500, upper=None, limits=[limit(state=None, attestation=attestation)])], [], [])
    )
    assert said in text
    assert "within" not in text


def test_a_count_over_its_limit_stays_inside_its_bar_and_its_chart():
    row = usage(users=900_000_000, upper=900_000_000, limits=[limit(state="over", forecast=forecast("crossed"))])
    read = Reader(the_overview([row], [], []))
    widths = [float(value.rstrip("%")) for value in read.values("width", "x") if value.endswith("%")]
    assert max(widths) <= 100
    assert "128.6%" in read.text
    heights = [float(pair.split(",")[1]) for value in read.values("points") for pair in value.split()]
    assert 0 <= min(heights) <= max(heights) <= 100


def test_a_limit_on_days_is_held_against_the_count_of_its_window():
    row = usage(users=1000, upper=1000, windows={"day": {"users": 30, "lower": 30, "upper": 30}},
                limits=[limit(100, "ok", window="day")])  # fmt: skip
    assert "30.0% of the limit" in words(the_overview([row], [], []))


def test_decisions_over_time_are_counted_by_category_and_by_clause():
    day, month = words(the_decisions()), words(the_decisions(span="month"))
    for expected in (
        "By category",
        "By clause",
        "S2 non-violent crimes",
        "llama-2 AUP 2.a",
        "usage threshold",
        "last 24 hours",
    ):
        assert expected in day, expected
    counted = [int(re.search(r"([\d,]+) decisions other", text)[1].replace(",", "")) for text in (day, month)]
    whole = sum(
        count["number"] for bucket in history()["buckets"] for count in bucket["counts"] if count["verdict"] != "allow"
    )
    assert counted[1] == whole
    assert 0 < counted[0] < whole
    assert re.search(r"Known since 2026-10-23", month)


def test_the_bars_of_a_chart_sum_up_to_what_its_legend_says():
    page = the_decisions(span="week")
    chart = page[page.index('id="category-title"') : page.index("Numbers as a table")]
    drawn = {}
    for listed in re.findall(r"<title>[^<:]+ [^<:]+:\d\d: ([^<]+)</title>", chart):
        for key, count in re.findall(r"([^,:]+?): (\d+)(?:, |$)", listed):
            drawn[key.strip()] = drawn.get(key.strip(), 0) + int(count)
    legend = dict(re.findall(r'<li class="key c\d">([^<]+) <span class="amount">([\d,]+)</span>', chart))
    assert drawn == {key: int(count.replace(",", "")) for key, count in legend.items()}
    assert drawn


def test_more_series_than_colors_end_in_others():
    counts = [
        {"verdict": "deny", "code": "aup", "license": "l", "clause": str(n), "category": f"S{n}", "number": n}
        for n in range(1, 12)
    ]
    text = words(the_decisions(found={"since": 0, "step": 3600, "buckets": [{"at": NOW - 60, "counts": counts}]}))
    assert "others 15" in text, "1 to 5: the six largest have a color of their own"
    assert "S11 suicide and self-harm 11" in text


def test_decisions_are_listed_with_the_way_to_each():
    read = Reader(the_decisions())
    assert (
        f"{REFERENCE} 2026-11-22 16:53:35 1 min ago ✕ deny tiny aup llama-2 AUP 2.a S2 non-violent crimes" in read.text
    )
    assert "! flag tiny \u2013 llama-2 S2 non-violent crimes, S10 hate" in read.text
    assert f"/decisions/{REFERENCE}" in read.values("href")


@pytest.mark.parametrize(
    ("sought", "number"),
    [({"verdict": "deny"}, 2), ({"license": "qwen-2024"}, 1), ({"category": "S10"}, 1), ({"reference": "718f"}, 4),
     ({"reference": "718fa"}, 1), ({"verdict": "deny", "category": "S2"}, 1), ({"verdict": "flag", "license": "qwen-2024"}, 0)],
)  # fmt: skip
def test_the_form_finds_decisions_and_remembers_what_was_asked(sought, number):
    page = the_decisions(**sought)
    assert page.count('<a href="/decisions/01') == number
    text = words(page)
    assert (f"of {number} decision" in text) == bool(number)
    assert ("None of the last 4 decisions fits" in text) == (not number)
    for value in sought.values():
        assert f'value="{value}"' in page


def test_a_query_asks_for_no_more_than_can_be_asked():
    sought = Sought.parse(
        {"span": "century", "reference": " " + "x" * 100, "verdict": "deny", "page": "0", "user": "me"}
    )
    assert sought == Sought("deny", "", "", "x" * 64, "day", 1)


@pytest.mark.parametrize("page", ["2", "999"])
def test_many_decisions_are_on_pages_that_lead_to_each_other(page):
    many = [decided(f"r{number:04}") for number in range(SHOWN + 10)]
    first = the_decisions(many, verdict="deny")
    assert first.count('<a href="/decisions/r0') == SHOWN
    assert f"1 to {SHOWN} of {SHOWN + 10} decisions that fit" in words(first)
    assert 'href="/decisions?verdict=deny&amp;span=day&amp;page=2#recent"' in first
    assert "Newer" not in first
    last = decisions(FRAME, recent=many, history=history(), sought=Sought.parse({"page": page}))
    assert last.count('<a href="/decisions/r0') == 10
    assert f"{SHOWN + 1} to {SHOWN + 10} of {SHOWN + 10} decisions at hand" in words(last)
    assert 'href="/decisions?span=day&amp;page=1#recent"' in last
    assert "Older" not in last


def test_a_decision_is_explained():
    text = words(EVERY["decision"]())
    for expected in (
        "✕ deny The prompt asks for what", "2026-11-22 16:53:35", "Fraud or the creation", "Llama 2 Community License, AUP 2.a",
        "confirmed against the license's text", "S2 non-violent crimes", "S2.phishing", "messages.0.content 8 to 22",
        "tell users that the model", "neural.S2", "01d9a2c5b4e3f60718f8.0", "guard-0 , entry 4,123", "0123456789ab",
    ):  # fmt: skip
        assert expected in text, expected


def test_a_decision_of_which_little_is_known_is_shown_too():
    bare = {
        "entry": {
            "reference": "r",
            "verdict": "deny",
            "ending": "refused",
            "refused": {"code": "malformed"},
            "not_listed_before": 3,
        }
    }
    text = words(decision(FRAME, "r", bare))
    assert "✕ deny Nothing was answered" in text
    assert "No rule found anything" in text
    assert "No receipt" in text


def test_the_policy_its_loads_and_its_candidate():
    text = words(the_policy())
    for expected in (
        "meta-llama/Llama-3.1-8B-Instruct llama-3.1 S1, S2, S10 logprobs: deny", "unlisted undetermined none none", "Any other model: refused",
        "at a limit refuse newcomers", "clause 2 is not confirmed", "did you mean at_limit?", "1,234 requests compared, 7 decided otherwise",
        "✓ allow ✕ deny aup, llama-2, 2.a, S9, n: at most 2", "shop",
    ):  # fmt: skip
        assert expected in text, expected
    assert text.index("16:53:35") < text.index("2026-11-21 15:54:35"), "the newest load first"
    assert 'name="form_token" value="' + FRAME.form_token in the_policy()


def test_the_outcome_of_a_load_is_said_where_it_was_asked_for():
    assert "Loaded. In force is abababababab" in words(
        the_policy(reloaded={"ok": True, "hash": "ab" * 32, "problems": [], "restart": []})
    )
    bad = the_policy(reloaded={"ok": False, "hash": "x", "problems": ["guard.yaml:9: wrong"], "restart": []})
    assert "Not loaded: 1 problem. The last good policy stays in force, whole. guard.yaml:9: wrong" in words(bad)
    assert 'role="alert"' in bad


def test_a_broken_candidate_says_what_is_wrong_and_none_says_what_it_would_be():
    broken = {
        "candidate": {
            **CANDIDATE["candidate"],
            "ok": False,
            "hash": None,
            "problems": ["candidate.yaml:1: mode: '<maybe>'"],
        },
        "differences": [],
    }
    assert "candidate.yaml:1: mode: &#x27;&lt;maybe&gt;&#x27;" in the_policy(candidate=broken)
    assert "No candidate is set" in words(the_policy(candidate={"candidate": None, "differences": []}))


def test_obligations_are_grouped_by_what_is_to_be_done():
    text = words(EVERY["obligations"]())
    assert text.index("Display 1 duty") < text.index("Tell users 1 duty") < text.index("Report or state 1 duty")
    for expected in (
        "Built with Llama",
        "shown with answers",
        "stated on the help page",
        "nothing on record",
        "Pass on the terms ✓ met",
    ):
        assert expected in text, expected


def test_export_checks_and_what_numbers_mean():
    assert "✕ deny mistral-7b abababababab 127.0.0.1 1,200 31" in words(EVERY["exports"]())
    text = words(EVERY["about"]())
    assert "calendar months in UTC every identity" in text
    assert "What is not visible here" in text


def test_a_guard_that_has_just_started_says_what_would_stand_everywhere():
    empty = {"since": NOW, "step": 3600, "buckets": []}
    pages = [
        the_overview([], [], [], []), the_decisions([], empty), obligations(FRAME, due=[], owed=[]), exports(FRAME, checks=[]),
        the_policy({"hash": "h", "mode": "shadow"}, {"candidate": None, "differences": []}), about(FRAME, usage=[]),
    ]  # fmt: skip
    said = " ".join(map(words, pages))
    for expected in (
        "No license with counted users is configured", "Nothing is open", "Nothing is known yet", "Nothing was refused or flagged in the last 24 hours",
        "No request was refused or flagged yet", "Nothing is open or comes due", "Nothing is owed", "No data set was checked yet",
        "No model is configured", "Nothing was loaded yet", "The policy warns of nothing",
    ):  # fmt: skip
        assert expected in said, expected


# Nothing that stands in a fact becomes markup.


def replaced(facts, text, keep=frozenset()):
    """``facts`` with every text in them replaced by ``text``; those under the names in ``keep`` stay."""
    if isinstance(facts, dict):
        return {name: value if name in keep else replaced(value, text, keep) for name, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [replaced(each, text, keep) for each in facts]
    return text if isinstance(facts, str) else facts


KEPT = frozenset(
    {"state", "verdict", "attestation", "act", "kind", "ending", "window", "day", "by", "growth", "category", "code"}
)


FEW = [{**row, "growth": row["growth"][:2]} for row in USAGE]


def all_of_it(text):
    def put(facts, keep=KEPT):
        return replaced(facts, text, keep)

    models = {text: {"licenses": [text], "blocking": [text], "fields": {text: "deny"}}}
    frame = FRAME._replace(mode=text, policy=text, form_token=text)
    return [
        the_overview(put(FEW), put(DUE), put(HEALTH), (text,), frame),
        decisions(frame, recent=put(DECISIONS), history=history(2), sought=Sought(*[text] * 4)),
        decisions(frame, recent=put(DECISIONS), history=put(history(2), KEPT - {"category", "code"}), sought=Sought()),
        decision(frame, text, put(EXPLAINED)),
        unknown(frame, text),
        policy(frame, found={**put(POLICY), "models": models}, candidate=put(CANDIDATE), unknown_models=True,
               reloaded={"ok": False, "problems": [text], "restart": []}),
        obligations(frame, due=put(DUE), owed=put(OBLIGATIONS)),
        exports(frame, checks=put(CHECKS, frozenset())),
        about(frame, usage=put(USAGE)),
        login(text, message=text),
    ]  # fmt: skip


def signs(pages):
    """How often the signs that make markup stand in each page."""
    return [[page.count(sign) for sign in "<>\"'"] for page in pages]


CALM = signs(all_of_it("calm"))


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'$ax{}/!-=;"), min_size=1, max_size=30))
def test_whatever_a_fact_holds_stays_text(text):
    wild = all_of_it(text)
    assert signs(wild) == CALM
    assert not [page for page in wild if re.search(r"&(?!(?:amp|lt|gt|quot|#x27);)", page)]
