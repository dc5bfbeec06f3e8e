"""What makes a policy looser is named line by line, and refused until the very same line stands in the file."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from key_server import EC_KEY, RSA_KEY, key_set

from guard.policy.deltas import Delta, dangerous
from guard.policy.document import PolicyError
from guard.policy.load import load
from guard.policy.posture import ORDERS, posture
from guard.policy.record import NAME, counting, read_record
from guard.policy.watch import ActivePolicy

BASE = "models: {tiny: {license: llama-2}, q: {license: qwen-2024}}\n"
TENANT = "identity: {keys: [{name: desk, sha256: " + "a" * 64 + "}]}\n"
MATCHED = TENANT.replace("}]", "}], trusted_from: [10.0.0.0/8], jwt: {algorithms: [HS256], secret_env: KEY}")
MATCHED += "tenants: {acme: {match: {MATCH}}}\n"
TRUSTED = "identity: {trusted_from: [10.0.0.0/8]}\n"
JWT = "identity: {jwt: {algorithms: [HS512], secret_env: KEY, issuer: us}}\n"
IAP = (
    "identity:\n  assertions:\n    - {header: x-assertion, algorithms: [ES256], issuer: us, audience: guard,\n"
    "       jwks_file: issuer.json, trusted_from: [10.0.0.0/8]}\n"
)
RELAXED = (
    "screening:\n  actions: {S9: flag}\n"
    "  relax: [{category: S9, owner: legal@example.org, expires: 2099-01-01, reason: r}]\n"
)
CHANGES = {
    "mode": ("", "mode: shadow\n", ["mode: enforce -> shadow"], 2),
    "limit raised": (
        "usage: {limits: {qwen-2024: 1000000}}\n",
        "usage:\n  limits:\n    qwen-2024: 3000000\n",
        ["usage.limits.qwen-2024: 1000000 -> 3000000"],
        4,
    ),
    "limit removed": (
        "usage: {limits: {qwen-2024: 10}}\n",
        "usage: {}\n",
        ["usage.limits.qwen-2024: 10 -> none"],
        2,
    ),
    "at_limit": (
        "usage: {at_limit: refuse_all}\n",
        "usage: {at_limit: observe}\n",
        ["usage.at_limit: refuse_all -> observe"],
        2,
    ),
    "relaxed": (
        "",
        RELAXED,
        ["models.tiny.S9: block -> flag"],
        3,
    ),
    "shadowed category": (
        "",
        "shadows: [{category: S9, owner: legal@example.org, expires: 2099-01-01, reason: r}]\n",
        ["models.tiny.S9: block -> shadow"],
        2,
    ),
    "shadowed check": (
        "",
        "shadows: [{check: usage_threshold, owner: legal@example.org, expires: 2099-01-01, reason: r}]\n",
        ["shadows.check.usage_threshold: enforce -> shadow"],
        2,
    ),
    "unknown models": (
        "",
        "unknown_models: undetermined\n",
        ["unknown_models: refuse -> undetermined"],
        2,
    ),
    "a license for all": ("", "license: llama-3.1\n", ["license: none -> llama-3.1"], 2),
    "surface": (
        "surface: {enabled: []}\n",
        "surface: {enabled: [tokenize]}\n",
        ["surface.enabled.tokenize: closed -> open"],
        2,
    ),
    "fields": (
        "",
        "outputs: {fields: {logprobs: allow}}\n",
        ["models.tiny.fields.logprobs: deny -> allow"],
        2,
    ),
    "unidentified": (
        "identity: {unidentified: deny}\n",
        "identity: {unidentified: allow}\n",
        ["identity.unidentified: deny -> allow"],
        2,
    ),
    "system prompts": (
        "screening: {system_prompts: block, unscannable: deny}\n",
        "screening: {system_prompts: flag, unscannable: allow}\n",
        ["screening.system_prompts: block -> flag", "screening.unscannable: deny -> allow"],
        2,
    ),
    "one kind of parts": (
        "screening: {unscannable: {video: mark}}\n",
        "screening: {unscannable: {image: mark, video: allow, audio: deny}}\n",
        ["screening.unscannable.image: deny -> mark", "screening.unscannable.video: mark -> allow"],
        2,
    ),
    "evidence": (
        "",
        "evidence: {audit: false}\noutputs: {receipts: false}\n",
        ["evidence.audit: true -> false", "outputs.receipts: true -> false"],
        2,
    ),
    "tenant gone": (
        TENANT + "tenants: {acme: {match: {keys: [desk]}, models: [q], actions: {S7: block}}}\n",
        TENANT,
        ["tenants.acme: there -> gone"],
        1,
    ),
    "tenant loosened": (
        TENANT + "tenants: {acme: {match: {keys: [desk]}, models: [q], actions: {S7: block}}}\n",
        TENANT + "tenants: {acme: {match: {keys: [desk]}}}\n",
        [
            "tenants.acme.models.q.S7: block -> off",
            "tenants.acme.models.tiny.S7: block -> flag",
            "tenants.acme.models: q -> all",
        ],
        3,
    ),
    "tenant's callers": (
        MATCHED.replace("MATCH", "keys: [desk], claim: {name: org, value: acme}, namespace: [a, b]"),
        MATCHED.replace("MATCH", "claim: {name: org, value: other}, namespace: [a, c]"),
        [
            (
                "tenants.acme.match: key desk, claim org acme, namespace a, namespace b -> "
                "claim org other, namespace a, namespace c"
            )
        ],
        3,
    ),
    "tenants in another order": (
        MATCHED.replace("MATCH", "keys: [desk]").replace("acme:", "beta: {match: {namespace: [b]}}, acme:"),
        MATCHED.replace("MATCH", "keys: [desk]").replace("}}}", "}}, beta: {match: {namespace: [b]}}}"),
        ["tenants: beta, acme -> acme, beta"],
        3,
    ),
    "tenant's purpose": (
        MATCHED.replace("MATCH", "keys: [desk]").replace("}}}", "}, purpose: evaluate}}"),
        MATCHED.replace("MATCH", "keys: [desk]"),
        ["tenants.acme.purpose: evaluate -> unknown"],
        3,
    ),
    "tenant's rules": (
        MATCHED.replace("MATCH", "keys: [desk]").replace("}}}", "}, rules: [own.yaml]}}"),
        MATCHED.replace("MATCH", "keys: [desk]"),
        ["tenants.acme.rules.S9.one: block -> none", "tenants.acme.rules.S9.two: flag -> none"],
        3,
    ),
    "rules": (
        "screening: {rules: [own.yaml]}\n",
        "screening: {rules: [less.yaml]}\n",
        ["screening.rules.S9.one: block -> flag", "screening.rules.S9.two: flag -> none"],
        2,
    ),
    "a key's purpose": (
        TENANT.replace("}]", ", purpose: serve}]"),
        TENANT.replace("}]", ", purpose: 'train:mine'}]"),
        ["identity.keys.desk.purpose: serve -> train:mine"],
        2,
    ),
    "a key that is no longer known": (
        TENANT.replace("}]", ", purpose: serve}]"),
        "",
        ["identity.keys.desk.purpose: serve -> unknown"],
        1,
    ),
    "networks": (
        "identity: {trusted_from: [10.0.0.0/9, 10.128.0.0/9, 'fd00::/8']}\n",
        "identity: {trusted_from: [10.0.0.0/8, 192.0.2.1/32]}\n",
        ["identity.trusted_from: 10.0.0.0/9, 10.128.0.0/9, fd00::/8 -> 10.0.0.0/8, 192.0.2.1/32"],
        2,
    ),
    "headers": (
        "identity: {trusted_from: [10.0.0.0/8], trusted_headers: [x-user]}\n",
        "identity: {trusted_from: [10.0.0.0/8], trusted_headers: [x-id, x-user]}\n",
        ["identity.trusted_headers: x-user -> x-id, x-user"],
        2,
    ),
    "a header that is believed from networks of its own": (
        "identity: {trusted_headers: [x-user]}\n",
        "identity: {trusted_headers: [x-user, {header: x-id, from: [192.0.2.0/24], namespace: n}]}\n",
        ["identity.trusted_headers: x-user -> x-user, x-id from 192.0.2.0/24 in n"],
        2,
    ),
    "certificates that another hop reports": (
        "identity: {mtls: {from: [10.0.0.0/8]}}\n",
        "identity: {mtls: {header: x-cert, from: [10.0.0.0/8, 192.0.2.0/24]}}\n",
        [
            "identity.mtls.from: 10.0.0.0/8 -> 10.0.0.0/8, 192.0.2.0/24",
            "identity.mtls.header: x-forwarded-client-cert -> x-cert",
        ],
        2,
    ),
    "certificates where there were none": (
        "",
        "identity: {mtls: {from: [10.0.0.0/8]}}\n",
        ["identity.mtls.from: none -> 10.0.0.0/8"],
        2,
    ),
    "a namespace in another header": (
        MATCHED.replace("MATCH", "namespace: [a]"),
        MATCHED.replace("MATCH", "namespace: [a]").replace("identity: {", "identity: {namespace_header: x-mine, "),
        ["identity.namespace_header: x-guard-namespace -> x-mine"],
        2,
    ),
    "sources": (
        "identity: {sources: [api_key, body]}\n",
        "identity: {sources: [body, api_key]}\n",
        ["identity.sources: api_key, body -> body, api_key"],
        2,
    ),
    "algorithms": (
        JWT,
        JWT.replace("[HS512]", "[HS256, HS512]").replace(", issuer: us", ""),
        ["identity.jwt.algorithms: HS512 -> HS256, HS512", "identity.jwt.issuer: us -> none"],
        2,
    ),
    "tokens that nobody verifies": (
        JWT,
        "",
        ["identity.jwt.algorithms: HS512 -> none"],
        1,
    ),
    "assertions of another issuer": (
        IAP,
        IAP.replace("issuer: us, audience: guard", "issuer: them, audience: all").replace("[ES256]", "[ES256, RS256]"),
        [
            "identity.assertions.x-assertion.algorithms: ES256 -> ES256, RS256",
            "identity.assertions.x-assertion.audience: guard -> all",
            "identity.assertions.x-assertion.issuer: us -> them",
        ],
        3,
    ),
    "assertions from more networks": (
        IAP,
        IAP.replace("[10.0.0.0/8]", "[10.0.0.0/8, 192.0.2.0/24]"),
        ["identity.assertions.x-assertion.trusted_from: 10.0.0.0/8 -> 10.0.0.0/8, 192.0.2.0/24"],
        3,
    ),
    "assertions from everywhere": (
        IAP,
        IAP.replace(", trusted_from: [10.0.0.0/8]", ""),
        ["identity.assertions.x-assertion.trusted_from: 10.0.0.0/8 -> none"],
        3,
    ),
    "assertions that nobody verifies": (
        IAP,
        "",
        ["identity.assertions.x-assertion.algorithms: ES256 -> none"],
        1,
    ),
    "the header of the country": (
        TRUSTED + "territory: {country_headers: [cf-ipcountry]}\n",
        TRUSTED + "territory: {country_headers: [x-anything]}\n",
        ["territory.country_headers: cf-ipcountry -> x-anything"],
        3,
    ),
    "unknown fields": (
        "surface: {unknown_fields: deny}\n",
        "surface: {}\n",
        ["surface.unknown_fields: deny -> drop"],
        2,
    ),
    "what was in shadow": (
        "shadows: [{category: S9, owner: legal@example.org, expires: 2099-01-01, reason: r}]\n",
        RELAXED,
        ["models.tiny.S9: shadow -> flag"],
        3,
    ),
}
STRICTER = {
    "fewer networks": (
        "identity: {trusted_from: [10.0.0.0/8, 'fd00::/8']}\n",
        "identity: {trusted_from: [10.1.0.0/16, 'fd00:1::/32']}\n",
    ),
    "fewer headers": (
        TRUSTED + "territory: {country_headers: [a, b, c]}\n",
        TRUSTED + "territory: {country_headers: [a, c]}\n",
    ),
    "stronger sources": (
        "identity: {sources: [body]}\n",
        "identity: {sources: [api_key, body]}\n",
    ),
    "headers that nobody is believed": (
        "identity: {trusted_headers: [x-user, {header: x-mine, from: [10.0.0.0/8]}], mtls: {from: [10.0.0.0/8]}}\n",
        "identity: {trusted_headers: [x-id, {header: x-mine, from: [10.0.0.0/8]}], mtls: {from: [10.1.0.0/16]}}\n",
    ),
    "a narrower purpose": (
        TENANT.replace("}]", ", purpose: 'train:mine'}]"),
        TENANT.replace("}]", ", purpose: serve}]"),
    ),
    "a key that is refused from now on": (
        TENANT.replace("}]", ", purpose: serve}, {name: other, sha256: " + "b" * 64 + "}], registered_only: true"),
        "identity: {keys: [{name: other, sha256: " + "b" * 64 + "}], registered_only: true}\n",
    ),
    "a tenant's rules that are everybody's": (
        MATCHED.replace("MATCH", "keys: [desk]").replace("}}}", "}, rules: [own.yaml]}}"),
        MATCHED.replace("MATCH", "keys: [desk]") + "screening: {rules: [own.yaml]}\n",
    ),
    "more of a tenant": (
        MATCHED.replace("MATCH", "keys: [desk]"),
        MATCHED.replace("MATCH", "keys: [desk], namespace: [a]").replace(
            "}}}", "}, purpose: serve, rules: [own.yaml]}}"
        ),
    ),
    "fewer algorithms": (JWT.replace("[HS512]", "[HS256, HS512]"), JWT),
    "tokens that are verified": ("", JWT),
}


SIDEWAYS = {
    "tenants in another order", "tenant's callers", "networks", "a namespace in another header",
    "the header of the country", "certificates that another hop reports",
    "assertions of another issuer",
}  # fmt: skip
"""Changes of which either way is dangerous."""
RULES = "category: S9\nrules:\n  - {id: S9.one, anchors: [enriched cake recipe], action: block}\n"


@pytest.fixture(autouse=True)
def beside(write, monkeypatch):
    monkeypatch.setenv("KEY", "k" * 64)
    write(key_set(r=RSA_KEY, e=EC_KEY).decode(), "issuer.json")
    write(RULES + "  - {id: S9.two, anchors: [very enriched cake], action: flag}\n", "own.yaml")
    write(RULES.replace("block", "flag"), "less.yaml")


def facts(loaded):
    return posture(loaded.config, loaded.snapshot, loaded.own_rules)


def lines(before, after):
    return sorted(delta.line for delta in dangerous(facts(before), facts(after)))


@pytest.mark.parametrize("name", STRICTER)
def test_what_makes_it_stricter_needs_nobodys_word(write, name):
    before, after = STRICTER[name]
    active = ActivePolicy(write(BASE + before))
    write(BASE + after)
    assert active.reload().problems == ()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_for_the_looser_is_refused_at_its_line_until_it_is_confirmed(write, name):
    before, after, expected, line = CHANGES[name]
    path = write(BASE + before)
    active = ActivePolicy(path)
    kept = active.snapshot
    write(BASE + after)
    refused = active.reload()
    assert (refused.ok, active.snapshot is kept) == (False, True)
    found = sorted(problem.found for problem in refused.problems)
    assert found == [f'a dangerous change: "{change}"' for change in expected]
    assert {problem.allowed for problem in refused.problems} == {"that line under confirm:, or the value in force"}
    assert min(problem.line for problem in refused.problems) == line
    assert {problem.file for problem in refused.problems} == {str(path)}
    write(BASE + after + "confirm:\n" + "".join(f"  - {change}\n" for change in expected))
    confirmed = active.reload()
    assert (confirmed.ok, confirmed.changed) == (True, True), confirmed.problems
    assert not any("confirm" in warning for warning in active.snapshot.warnings)
    write(BASE + before)
    assert active.reload().ok == (name not in SIDEWAYS), "what makes it stricter needs nobody's word"


def test_one_line_confirms_nothing_but_itself(write):
    active = ActivePolicy(write(BASE + "usage: {limits: {qwen-2024: 10}}\n"))
    write(BASE + "usage: {limits: {qwen-2024: 30}}\nconfirm: ['usage.limits.qwen-2024: 10 -> 20']\n")
    assert [problem.found for problem in active.reload().problems] == [
        'a dangerous change: "usage.limits.qwen-2024: 10 -> 30"',
        "'usage.limits.qwen-2024: 10 -> 20' is no change",
    ]
    write(BASE + "usage: {limits: {qwen-2024: 30}}\nconfirm:\n  - 'mode: enforce -> shadow'\n"
          "  - 'usage.limits.qwen-2024: 10 -> 300'\n")  # fmt: skip
    told = active.reload().problems[-1]
    assert (told.line, told.path, told.nearest) == (5, "confirm[1]", "usage.limits.qwen-2024: 10 -> 30")


def test_a_confirmation_that_is_spent_does_no_harm_and_is_named(write):
    active = ActivePolicy(write(BASE + "confirm: ['mode: enforce -> shadow']\n"))
    assert active.snapshot.warnings.count("confirm: 'mode: enforce -> shadow' is no change any more, and can go") == 1


@pytest.mark.parametrize(
    "written", ["'mode: enforce -> shadow'", "{mode: enforce -> shadow}", "mode:  enforce -> shadow"]
)
def test_a_line_may_be_quoted_or_not(write, written):
    assert load(write(BASE + f"confirm:\n  - {written}\n")).config.confirm == ("mode: enforce -> shadow",)


def test_what_is_no_line_is_a_mistake(write):
    with pytest.raises(PolicyError, match="the line of a dangerous change"):
        load(write(BASE + "confirm: [yes]\n"))


def test_another_license_is_one_dangerous_change_with_everything_that_follows_from_it(write):
    before = load(write(BASE))
    found = lines(before, load(write(BASE.replace("llama-2", "mistral-apache"), "other.yaml")))
    assert [line for line in found if line.startswith("models.tiny")] == [
        "models.tiny.license: llama-2 -> mistral-apache"
    ]


def test_a_model_that_goes_or_comes_is_no_loosened_one(write):
    one, two = load(write("models: {tiny: {license: llama-2}}\n")), load(write(BASE, "two.yaml"))
    assert lines(one, two) == lines(two, one) == []


def test_a_model_that_falls_to_the_license_of_all_others_is(write):
    before = load(write(BASE + "license: mistral-apache\n"))
    after = load(write("models: {q: {license: qwen-2024}}\nlicense: mistral-apache\n", "after.yaml"))
    assert "models.tiny.license: llama-2 -> mistral-apache" in lines(before, after)


def test_a_limit_in_a_pack_is_refused_at_its_line_in_the_pack(write):
    pack = (
        'id: acme\nname: Acme\ndate: "2026"\nstatus: confirmed\nfamily: acme\nversion: acme\nsources: [a]\n'
        "output_use: {rule: unrestricted, status: confirmed}\nthresholds:\n"
        "  - {id: mau, metric: monthly_active_users, comparator: greater_than, window: standing, scope: a,\n"
        '     counted: a, products: all, affiliates: included, consequence: no_rights, effect: a, clause: "1",\n     status: confirmed,\n'
        "     value: 100}\n"
    )
    write(pack, "packs/acme.yaml")
    active = ActivePolicy(write("policies: [packs]\nmodels: {m: {license: acme}}\n"))
    write(pack.replace("100", "300"), "packs/acme.yaml")
    (problem,) = active.reload().problems
    assert (problem.file.endswith("packs/acme.yaml"), problem.line) == (True, 13)
    assert problem.found == 'a dangerous change: "licenses.acme.mau: 100 -> 300"'
    write("policies: [packs]\nmodels: {m: {license: acme}}\nconfirm:\n  - licenses.acme.mau: 100 -> 300\n")
    assert active.reload().ok
    assert active.snapshot.models["m"].limits[0].value == 300


@pytest.fixture
def remembered(write, tmp_path):
    """Starts a process on one state directory, which remembers; returns its policy."""

    def start(text, now=1_800_000_000.0, base=BASE, **overrides):
        (tmp_path / "state").mkdir(exist_ok=True)
        path = write(base + text + f"state_dir: {tmp_path / 'state'}\n")
        active = ActivePolicy(path, overrides, clock=lambda: now, remember=True)
        active.keep()
        return active

    start.state = tmp_path / "state"
    return start


def test_a_restart_is_no_way_around(remembered):
    remembered("")
    with pytest.raises(PolicyError, match='a dangerous change: "mode: enforce -> shadow"'):
        remembered("mode: shadow\n")
    with pytest.raises(PolicyError, match="command line: mode: a dangerous change"):
        remembered("", mode="shadow")
    remembered("mode: shadow\nconfirm: ['mode: enforce -> shadow']\n")
    remembered("mode: shadow\n")
    remembered("")


def test_the_record_is_for_the_owner_alone_and_one_that_is_damaged_stops_the_start(remembered):
    remembered("")
    path = remembered.state / NAME
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text()[:-20])
    with pytest.raises(PolicyError, match="the record of the policy that was in force cannot be read"):
        remembered("")
    path.unlink()
    remembered("mode: shadow\n")


def test_what_the_count_rests_on_waits_for_the_next_period(remembered):
    now = 1_800_000_000.0  # 2027-01-15
    remembered("")
    moved = f"usage: {{zone: Europe/Berlin, ledger: 'sqlite://{remembered.state}/other.db'}}\n"
    with pytest.raises(PolicyError) as refused:
        remembered(moved)
    assert [problem.found for problem in refused.value.problems] == [
        f'a dangerous change: "usage.ledger: sqlite://{remembered.state}/ledger.db -> sqlite://{remembered.state}/other.db"',
        'a dangerous change: "usage.zone: UTC -> Europe/Berlin"',
    ]
    remembered(moved, now + 20 * 86_400)


def test_another_pseudonym_key_would_count_everybody_again(remembered):
    (remembered.state.parent / "state").mkdir()
    key = remembered.state / "pseudonym.key"
    key.write_bytes(bytes(32))
    remembered("")
    key.write_bytes(bytes(31) + b"1")
    with pytest.raises(PolicyError, match=r"identity.pseudonym_key_file: [0-9a-f]{16} -> [0-9a-f]{16}"):
        remembered("")
    key.write_text(f"{bytes(32).hex()}\n2027-01 {bytes(31).hex()}01\n")
    with pytest.raises(PolicyError, match=r"identity.pseudonym_key_file"):
        remembered("")
    key.write_text(f"{bytes(32).hex()}\n2027-02 {bytes(31).hex()}01\n")
    remembered("")  # the running month's users keep their key


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_of_two_values_one_way_is_dangerous_and_the_other_is_not(data):
    at = data.draw(st.sampled_from(sorted(ORDERS)))
    low, high = sorted(
        data.draw(st.lists(st.sampled_from(range(len(ORDERS[at]))), min_size=2, max_size=2, unique=True))
    )
    old = facts(load(None, {"license": "llama-2"}))
    loose, strict = ({**old, at: ORDERS[at][index]} for index in (low, high))
    assert [delta.line for delta in dangerous(strict, loose)] == [f"{'.'.join(at)}: {strict[at]} -> {loose[at]}"]
    assert list(dangerous(loose, strict)) == []


def test_a_posture_survives_its_record(remembered):
    active = remembered("")
    record = read_record(active.config)
    assert record.posture == facts(active.loaded)
    assert json.loads((remembered.state / NAME).read_text())["policy"] == active.snapshot.hash


WITHOUT = BASE.replace(", q: {license: qwen-2024}", "")
LIMIT = "usage: {limits: {qwen-2024: 10}}\n"


def test_a_model_that_comes_back_is_compared_with_what_it_was(write):
    active = ActivePolicy(write(BASE + LIMIT))
    for text in (WITHOUT, WITHOUT + "usage: {approaching: 0.5}\n"):
        write(text)
        assert active.reload().problems == (), "that a model goes is not dangerous"
    write(BASE.replace("qwen-2024", "mistral-apache"))
    assert [problem.found for problem in active.reload().problems] == [
        'a dangerous change: "models.q.license: qwen-2024 -> mistral-apache"'
    ]
    write(BASE + LIMIT.replace("10", "3000000"))
    (problem,) = active.reload().problems
    assert problem.found == 'a dangerous change: "usage.limits.qwen-2024: 10 -> 3000000"'
    write(BASE + LIMIT)
    assert active.reload().problems == ()


def test_what_is_gone_is_forgotten_with_the_period_and_what_was_confirmed_at_once(write):
    now = [1_800_000_000.0]  # 2027-01-15
    active = ActivePolicy(write(BASE + LIMIT), clock=lambda: now[0])
    write(WITHOUT)
    assert active.reload().ok
    loose = BASE.replace("qwen-2024", "mistral-apache")
    write(loose)
    assert not active.reload().ok
    write(loose + "confirm: ['models.q.license: qwen-2024 -> mistral-apache']\n")
    assert active.reload().ok
    write(loose)
    assert active.reload().ok
    write(WITHOUT)
    assert active.reload().ok
    write(BASE + LIMIT)
    assert not active.reload().ok
    now[0] += 20 * 86_400
    assert active.reload().ok


def test_a_restart_forgets_nothing_that_is_gone(remembered):
    def turned(text, **more):
        return remembered("", base=text, **more)

    turned(BASE + LIMIT)
    turned(WITHOUT)
    with pytest.raises(PolicyError, match=r"models\.q\.license: qwen-2024 -> mistral-apache"):
        turned(BASE.replace("qwen-2024", "mistral-apache"))
    with pytest.raises(PolicyError, match=r"usage\.limits\.qwen-2024: 10 -> 30"):
        turned(BASE + LIMIT.replace("10", "30"))
    turned(BASE + LIMIT.replace("10", "30"), now=1_800_000_000.0 + 20 * 86_400)


def newer(facts):
    """Facts as another release may write them: some it does not know, some are of no kind or value known here."""
    known = {at: value for at, value in facts if at[0] in {"mode", "surface", "unlisted"} or at[-1] == "license"}
    odd = [[["a", "new", "fact"], "x"], [["models"], "x"], [["models", "tiny", "fields"], 1], [["usage"], 0]]
    odd += [[["identity", "keys", "k", "other"], "x"], [["tenants"], "x"], [["models", "tiny", "excluded"], "later"]]
    return [*([list(at), value] for at, value in known.items()), *odd]


@pytest.mark.parametrize(
    "change",
    [
        newer,
        lambda facts: [fact for fact in facts if tuple(fact[0]) not in ORDERS and fact[0] != ["unlisted"]],
        lambda facts: [[at, "later" if tuple(at) in ORDERS or at[0] == "surface" else value] for at, value in facts],
        lambda facts: [[at, "later" if at[-1] == "S9" or "fields" in at else value] for at, value in facts],
    ],
)
def test_the_record_of_another_release_is_no_reason_not_to_start(remembered, change):
    remembered("")
    path = remembered.state / NAME
    record = json.loads(path.read_text())
    del record["gone"]
    record["posture"] = change(
        [(tuple(at), value) for at, value in record["posture"]] if change is newer else record["posture"]
    )
    path.write_text(json.dumps(record))
    assert remembered("").history[-1].ok


def test_a_statement_that_takes_a_place_away_is_told_by_the_place(write):
    served = "models: {hy: {license: hunyuan-a13b}}\n"
    active = ActivePolicy(write(served))
    stated = (
        "operator:\n  statements:\n    - {license: hunyuan-a13b, about: territory, says: x, owner: o, expires: DAY}\n"
    )
    write(served + stated.replace("DAY", "2099-01-01"))
    (problem,) = active.reload().problems
    assert problem.found == 'a dangerous change: "models.hy.excluded: EU, GB, KR -> none"'
    assert (problem.line, problem.path) == (4, "operator.statements[0]")
    write(served + stated.replace("DAY", "2099-01-01") + "confirm: ['models.hy.excluded: EU, GB, KR -> none']\n")
    assert active.reload().ok
    write(served)
    assert active.reload().ok


@pytest.mark.parametrize("at", sorted(ORDERS))
def test_a_fact_that_an_older_release_did_not_write_is_no_change(at):
    new = facts(load(None, {"license": "llama-2"}))
    old = {name: value for name, value in new.items() if name != at}
    assert list(dangerous(old, new)) == []
    assert list(dangerous({**new, at: "of a later release"}, new)) == []


@pytest.mark.parametrize("damage", [{"until": "nan"}, {"posture": [[[], 1]]}, {"posture": [[["mode"], None]]}])
def test_a_record_that_is_none_is_told_and_no_crash(remembered, damage):
    remembered("")
    path = remembered.state / NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(PolicyError, match="the record of the policy that was in force cannot be read"):
        remembered("")


def test_a_password_is_in_no_line_and_in_no_record():
    delta = Delta(("usage", "ledger"), "redis://u:OLD@h/0", "redis://u:NEW@h/0")
    assert delta.line == "usage.ledger: redis://...@h/0 -> redis://...@h/0"
    config = load(None, {"license": "llama-2"}).config
    config = config.model_copy(update={"usage": config.usage.model_copy(update={"ledger": "redis://u:SECRET@h/0"})})
    assert counting(config, 0.0)["usage", "ledger"] == "redis://...@h/0"


def test_a_line_can_be_confirmed_whatever_is_in_it(write):
    named = "models: {tiny: {license: llama-2}, 'a  b': {license: qwen-2024}}\n"
    active = ActivePolicy(write(named))
    write(named.replace("qwen-2024", "mistral-apache"))
    (problem,) = active.reload().problems
    line = problem.found.removeprefix('a dangerous change: "').removesuffix('"')
    write(named.replace("qwen-2024", "mistral-apache") + f"confirm: ['{line}']\n")
    assert active.reload().ok
