"""What makes a policy looser is named line by line, and refused until the very same line stands in the file."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.policy.deltas import dangerous
from guard.policy.document import PolicyError
from guard.policy.load import load
from guard.policy.posture import ORDERS, posture
from guard.policy.record import NAME, read_record
from guard.policy.watch import ActivePolicy

BASE = "models: {tiny: {license: llama-2}, q: {license: qwen-2024}}\n"
TENANT = "identity: {keys: [{name: desk, sha256: " + "a" * 64 + "}]}\n"
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
    "evidence": (
        "",
        "evidence: {audit: false}\noutputs: {receipts: false}\n",
        ["evidence.audit: true -> false", "outputs.receipts: true -> false"],
        2,
    ),
    "tenant gone": (
        TENANT + "tenants: {acme: {match: {keys: [desk]}, models: [q], actions: {S7: block}}}\n",
        TENANT,
        [
            "tenants.acme.models.q.S7: block -> off",
            "tenants.acme.models.tiny.S7: block -> flag",
            "tenants.acme.models: q -> all",
        ],
        1,
    ),
}


def lines(before, after):
    old, new = ({**posture(loaded.config, loaded.snapshot)} for loaded in (before, after))
    return sorted(delta.line for delta in dangerous(old, new))


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
    assert active.reload().ok, "what makes it stricter needs nobody's word"


def test_one_line_confirms_nothing_but_itself(write):
    active = ActivePolicy(write(BASE + "usage: {limits: {qwen-2024: 10}}\n"))
    write(BASE + "usage: {limits: {qwen-2024: 30}}\nconfirm: ['usage.limits.qwen-2024: 10 -> 20']\n")
    assert [problem.found for problem in active.reload().problems] == [
        'a dangerous change: "usage.limits.qwen-2024: 10 -> 30"'
    ]


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
        '     counted: a, consequence: no_rights, effect: a, clause: "1", status: confirmed,\n'
        "     value: 100}\n"
    )
    write(pack, "packs/acme.yaml")
    active = ActivePolicy(write("policies: [packs]\nmodels: {m: {license: acme}}\n"))
    write(pack.replace("100", "300"), "packs/acme.yaml")
    (problem,) = active.reload().problems
    assert (problem.file.endswith("packs/acme.yaml"), problem.line) == (True, 12)
    assert problem.found == 'a dangerous change: "licenses.acme.mau: 100 -> 300"'
    write("policies: [packs]\nmodels: {m: {license: acme}}\nconfirm:\n  - licenses.acme.mau: 100 -> 300\n")
    assert active.reload().ok
    assert active.snapshot.models["m"].limits[0].value == 300


@pytest.fixture
def remembered(write, tmp_path):
    """Starts a process on one state directory, which remembers; returns its policy."""

    def start(text, now=1_800_000_000.0, **overrides):
        (tmp_path / "state").mkdir(exist_ok=True)
        path = write(BASE + text + f"state_dir: {tmp_path / 'state'}\n")
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


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_of_two_values_one_way_is_dangerous_and_the_other_is_not(data):
    at = data.draw(st.sampled_from(sorted(ORDERS)))
    low, high = sorted(
        data.draw(st.lists(st.sampled_from(range(len(ORDERS[at]))), min_size=2, max_size=2, unique=True))
    )
    loaded = load(None, {"license": "llama-2"})
    old = posture(loaded.config, loaded.snapshot)
    loose, strict = ({**old, at: ORDERS[at][index]} for index in (low, high))
    assert [delta.line for delta in dangerous(strict, loose)] == [f"{'.'.join(at)}: {strict[at]} -> {loose[at]}"]
    assert list(dangerous(loose, strict)) == []


def test_a_posture_survives_its_record(remembered):
    active = remembered("")
    record = read_record(active.config)
    assert record.posture == posture(active.config, active.snapshot)
    assert json.loads((remembered.state / NAME).read_text())["policy"] == active.snapshot.hash
