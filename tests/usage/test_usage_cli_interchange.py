"""``guard usage export`` and ``import``: several gateways add up, nobody twice, and stated numbers stand beside them."""

import json
import os
import stat

import pytest
import yaml
from ledger_files import (
    MONTH,
    NOON,
    RUN,
    TODAY,
    declared_in,
    gateway,
    guard_yaml,
    url_of,
    usage,
    usage_json,
    users_in,
)

from guard.cli.usage import app
from guard.evidence.chain import Journal
from guard.evidence.verify import verify
from guard.policy.locations import shipped_licenses
from guard.transports.instance import Instance
from guard.usage.address import open_ledger
from guard.usage.declaration import Declaration, Part
from guard.usage.ledger import Scope

OTHER_KEY = "ffff222233334444"
STATED = ("--license", "qwen-2024", "--period", MONTH, "--source", "mobile app", "--owner", "legal@example.org")


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOON)


@pytest.fixture
def ours(tmp_path):
    """Our ledger, with the users 1 to 60."""
    return gateway(tmp_path / "ledger.db", {"qwen-2024": range(1, 61)}, unidentified=2)


def export(path, name, sightings, **options):
    """Export the ledger of another gateway, ``name``. Returns the file."""
    period = options.get("period", MONTH)
    url = gateway(path / f"{name}.db", sightings, **options)
    out = path / f"{name}.users"
    usage("export", "--ledger", url, "--period", period, "--source", name, "--out", out)
    return out


def test_two_gateways_add_up_to_the_union_and_a_second_time_to_nothing(ours, tmp_path):
    file = export(tmp_path, "gateway-b", {"qwen-2024": range(41, 101), "kimi-k2": [7]}, unidentified=3)
    assert usage("import", file, "--ledger", ours).splitlines() == [
        f"{file}: 1 user of kimi-k2 in 2026-11 from gateway-b, 1 of them new; the ledger has 1",
        f"{file}: 60 users of qwen-2024 in 2026-11 from gateway-b, 40 of them new; the ledger has 100",
    ]
    assert users_in(ours) == set(range(1, 101))
    assert [row["new"] for row in usage_json("import", file, "--ledger", ours)] == [0, 0]
    assert users_in(ours) == set(range(1, 101))
    rows = usage_json("show", "--ledger", ours, "--period", MONTH)["periods"][0]["licenses"]
    assert "gateway-b: 3 answered requests named no user" in rows[1]["reasons"]


def test_the_file_is_private_and_says_what_is_in_it(ours, tmp_path):
    out = tmp_path / "a.users"
    said = usage_json("export", "--ledger", ours, "--period", MONTH, "--out", out, "--source", "gateway-a")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert said["licenses"] == [
        {"license": "qwen-2024", "users": 60, "unidentified_requests": {"gateway-a": 2}, "in_spool": 0}
    ]
    assert (said["key"], said["zone"], said["source"]) == ("00112233aabbccdd", "UTC", "gateway-a")
    assert [path.name for path in tmp_path.iterdir() if "users" in path.name] == ["a.users"]


def test_only_the_licenses_that_are_asked_for_are_exported(tmp_path):
    url = gateway(tmp_path / "b.db", {"qwen-2024": [1], "kimi-k2": [2], "gemma": [3]})
    asked = ("export", "--ledger", url, "--period", MONTH, "--out", tmp_path / "x")
    said = usage_json(*asked, "--license", "qwen-2024", "--license", "gemma")
    assert [each["license"] for each in said["licenses"]] == ["qwen-2024", "gemma"]
    assert "did you mean 'kimi-k2'?" in usage(*asked, "--license", "kimi-k", code=2)
    assert "counted nobody" in usage(*asked[:-4], "--period", "2025-01", "--out", tmp_path / "y", code=65)
    assert not (tmp_path / "y").exists()


def test_what_cannot_be_written_leaves_nothing_behind(ours, tmp_path):
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "nowhere" / "x", tmp_path / "there"):
        assert str(out) in usage("export", "--ledger", ours, "--period", MONTH, "--out", out, code=73)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_forgotten_users_cannot_be_exported_and_the_file_before_stays(ours, tmp_path):
    out = tmp_path / "a.users"
    out.write_text("before")
    ledger = open_ledger(ours)
    ledger.forget(Scope(MONTH, "qwen-2024"))
    ledger.close()
    said = usage("export", "--ledger", ours, "--period", MONTH, "--out", out, code=65)
    assert "forgotten who the 60 users of qwen-2024 are" in said
    assert out.read_text() == "before"


def test_damaged_and_foreign_files_are_refused_before_anything_is_written(ours, tmp_path):
    good = export(tmp_path, "gateway-b", {"qwen-2024": [1000]})
    content = good.read_bytes()
    bad = tmp_path / "bad.users"
    for damaged, said in [
        (content[:-50], "byte "), (content[:-1] + b"\0", "digest"), (b"PK\x03\x04", "byte 0: it begins with"),
        (b"", "byte 0"), (content.replace(b'"format":1', b'"format":9'), "format 9; allowed: 1"),
    ]:  # fmt: skip
        bad.write_bytes(damaged)
        found = usage("import", good, bad, "--ledger", ours, code=65)
        assert found.startswith(f"{bad}: ")
        assert said in found
    assert "No such file" in usage("import", tmp_path / "none.users", "--ledger", ours, code=65)
    assert "Is a directory" in usage("import", tmp_path, "--ledger", ours, code=65)
    assert users_in(ours) == set(range(1, 61))


def test_another_key_is_refused_and_its_total_may_be_declared(ours, tmp_path):
    good = export(tmp_path, "gateway-b", {"qwen-2024": [1000]})
    file = export(tmp_path, "gateway-c", {"qwen-2024": range(50)}, key=OTHER_KEY, unidentified=4)
    said = usage("import", good, file, "--ledger", ours, code=65)
    assert f"{file}: " in said
    assert OTHER_KEY in said
    assert "--as-declared" in said
    assert users_in(ours) == set(range(1, 61))
    said = usage(
        "import", file, "--as-declared", "--owner", "legal@example.org", "--part", "affiliate", "--ledger", ours
    )
    assert said.startswith("qwen-2024 in 2026-11: 50 users of gateway-c (affiliate), stated by legal@example.org")
    (declared,) = declared_in(ours)
    assert (declared.source, declared.part, declared.users, declared.unidentified) == (
        "gateway-c", Part.AFFILIATE, 50, 4,
    )  # fmt: skip


def test_two_files_of_different_keys_are_not_mixed_in_a_new_ledger_either(tmp_path):
    files = [
        export(tmp_path, "b", {"qwen-2024": [1]}),
        export(tmp_path, "c", {"qwen-2024": [2]}, key=OTHER_KEY),
    ]
    url = url_of(tmp_path / "sum.db")
    assert OTHER_KEY in usage("import", *files, "--ledger", url, "--create", code=65)
    assert users_in(url) == set()
    usage("import", files[0], "--ledger", url)
    assert users_in(url) == {1}


def test_a_file_under_another_key_than_the_configured_gateways_is_refused(tmp_path):
    """The gateway has counted nobody yet; a file's key in its ledger would shut it out."""
    config = guard_yaml(tmp_path)
    (tmp_path / "pseudonym.key").write_bytes(bytes(range(32)))
    file = export(tmp_path, "b", {"qwen-2024": [1]})
    assert "under key 00112233aabbccdd" in usage("import", file, "--config", config, "--create", code=65)
    assert users_in(url_of(tmp_path / "ledger.db")) == set()


def test_months_of_another_zone_are_refused(ours, tmp_path):
    file = export(tmp_path, "b", {"qwen-2024": [1000]}, zone="Asia/Tokyo")
    assert "counts in zone Asia/Tokyo, the ledger in UTC" in usage("import", file, "--ledger", ours, code=65)


def test_a_day_travels_into_its_month_and_the_windows_that_are_tracked(ours, tmp_path):
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1]}, period=f"{TODAY}/28d")
    file = export(tmp_path, "b", {"qwen-2024": [900]}, period="2026-11-20")
    usage("import", file, "--ledger", ours)
    assert users_in(ours, period="2026-11-20") == {900}
    assert users_in(ours) == {*range(1, 61), 900}
    assert users_in(ours, period=f"{TODAY}/28d") == {1, 900}


def test_a_stated_number_stands_beside_the_count_until_it_is_withdrawn(ours, tmp_path):
    said = usage("import", "--declared", "120000", *STATED, "--stated", TODAY, "--ledger", ours)
    assert said == (
        "qwen-2024 in 2026-11: 120,000 users of mobile app (product), stated by legal@example.org on 2026-11-22\n"
    )
    wanted = Declaration("qwen-2024", MONTH, "mobile app", Part.PRODUCT, 120_000, 0, "legal@example.org", TODAY)
    assert declared_in(ours) == [wanted]

    def row():
        return usage_json("show", "--ledger", ours, "--period", MONTH)["periods"][0]["licenses"][0]

    assert (row()["users"], row()["lower"]) == (60, 120_000)
    said = usage("import", "--declared", "0", *STATED, "--ledger", ours)
    assert (
        "no users any more of mobile app (product), stated by legal@example.org on 2026-11-22; before: 120,000" in said
    )
    assert (row()["users"], row()["lower"]) == (60, 60)
    assert "; before: none of mobile app" in usage("import", "--declared", "1", *STATED, "--ledger", ours)


def test_what_a_number_takes_the_place_of_is_said(ours):
    usage("import", "--declared", "100000", *STATED, "--stated", "2026-11-20", "--ledger", ours)
    again = ("import", "--declared", "3", *STATED[:-1], "cfo@example.org", "--part", "affiliate", "--ledger", ours)
    assert usage(*again) == (
        "qwen-2024 in 2026-11: 3 users of mobile app (affiliate), stated by cfo@example.org on 2026-11-22; before: "
        "100,000 users of mobile app (product), stated by legal@example.org on 2026-11-20\n"
    )
    (row,) = usage_json(*again)
    assert (row["declared"]["users"], row["replaced"]["owner"]) == (3, "cfo@example.org")


@pytest.mark.parametrize(("arguments", "said"), [
    (("--declared", "5", *STATED, "--stated", "2026-11-23"), "stated on 2026-11-23: it is 2026-11-22 in zone UTC"),
    (("--declared", "5", *STATED, "--period", "2026-12"), "2026-12 has not begun: it is 2026-11-22 in zone UTC"),
    (("--declared", "5", *STATED, "--period", "2026-11-23"), "2026-11-23 has not begun"),
    (("--declared", "5", *STATED, "--period", "2026-12-01/30d"), "2026-12-01/30d has not begun"),
    (("--declared", "0", *STATED), "nothing was stated of 'mobile app', which could be withdrawn"),
])  # fmt: skip
def test_numbers_of_a_time_to_come_are_no_data(ours, arguments, said):
    assert said in usage("import", *arguments, "--ledger", ours, code=65)
    for period in (MONTH, "2026-12", "2026-11-23", "2026-12-01/30d"):
        assert declared_in(ours, period) == []


def test_files_of_a_time_to_come_are_no_data_either(ours, tmp_path):
    file = export(tmp_path, "b", {"qwen-2024": [1]}, period="2026-12", day=None)
    other = export(tmp_path, "c", {"qwen-2024": [1]}, period="2026-12", day=None, key=OTHER_KEY)
    assert "its users are of 2026-12, and it is 2026-11-22" in usage("import", file, "--ledger", ours, code=65)
    gateway(tmp_path / "ledger.db", {"qwen-2024": [1]}, period="2026-12", day=None)
    declared = ("--as-declared", "--owner", "legal@example.org", "--ledger", ours)
    assert "2026-12 has not begun" in usage("import", other, *declared, code=65)
    assert declared_in(ours, "2026-12") == []


def test_users_that_are_merged_or_could_be_are_not_declared_too(ours, tmp_path):
    file = export(tmp_path, "gateway-b", {"qwen-2024": range(41, 101)}, unidentified=3)
    declared = ("--as-declared", "--owner", "legal@example.org", "--ledger", ours)
    for _ in range(2):  # before it is merged, and after
        assert "its users can be merged" in usage("import", file, *declared, code=65)
        usage("import", file, "--ledger", ours)
    stated = ("import", "--declared", "60", *STATED, "--source", "gateway-b", "--ledger", ours)
    assert "the users of gateway-b were merged into 2026-11" in usage(*stated, code=65)
    assert [(each.part, each.unidentified) for each in declared_in(ours)] == [(Part.GATEWAY, 3)]


def test_a_number_that_was_stated_of_a_gateway_goes_when_its_users_come(ours, tmp_path):
    file = export(tmp_path, "gateway-b", {"qwen-2024": range(41, 101)})
    usage("import", "--declared", "60", *STATED, "--source", "gateway-b", "--ledger", ours)
    assert usage("import", file, "--ledger", ours).endswith(
        "; the 60 users stated of gateway-b by legal@example.org are withdrawn\n"
    )
    assert [each.users for each in declared_in(ours)] == [0]


def test_a_ledger_is_found_and_not_made_unless_asked_for(ours, tmp_path, monkeypatch):
    file = export(tmp_path, "b", {"qwen-2024": [1]})
    typo = url_of(tmp_path / "ledgre.db")
    for what in ((file,), ("--declared", "5", *STATED)):
        said = usage("import", *what, "--ledger", typo, code=78)
        assert f"there is no ledger at {tmp_path}/ledgre.db yet; --create makes one" in said
        assert not (tmp_path / "ledgre.db").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "own.yaml").write_text("models:\n  q: {license: qwen-2024}\n")
    monkeypatch.chdir(elsewhere)
    where = f"(state_dir is guard-state, which is taken from {elsewhere})"
    assert where in usage("import", file, "--config", tmp_path / "own.yaml", code=78)
    for command in ("show", "report", "forecast"):
        assert usage(command, "--config", tmp_path / "own.yaml", code=78) == (
            f"there is no ledger at {elsewhere}/guard-state/ledger.db yet {where}\n"
        )
    usage("import", file, "--ledger", typo, "--create")
    assert users_in(typo) == {1}


def entries_of(directory):
    return [json.loads(line) for line in (directory / "audit" / "usage.jsonl").read_text().splitlines()]


def test_imports_and_statements_leave_a_trail_beside_a_running_gateway(tmp_path):
    config = guard_yaml(tmp_path)
    gateway(tmp_path / "ledger.db", {"qwen-2024": range(1, 61)})
    file = export(tmp_path, "gateway-b", {"qwen-2024": range(41, 101)}, unidentified=3)
    running = Instance(tmp_path)
    journal = Journal(tmp_path / "audit", instance=running.name)
    journal.start()
    usage("import", file, "--config", config)
    usage("import", "--declared", "5", *STATED, "--config", config)
    usage("import", "--declared", "6", *STATED, "--config", config)
    journal.close()
    running.release()
    found = entries_of(tmp_path)
    assert [each["kind"] for each in found if each["kind"] != "checkpoint"] == [
        "open", "usage_import", "close", "open", "usage_declared", "close", "open", "usage_declared", "close",
    ]  # fmt: skip
    merged, _, replaced = (each["facts"] for each in found if each["kind"].startswith("usage"))
    assert merged["licenses"] == [
        {"license": "qwen-2024", "users": 60, "unidentified_requests": {"gateway-b": 3}, "users_before": 60}
    ]
    assert (merged["file"], merged["digest"]) == (str(file), file.read_bytes()[-32:].hex())
    assert (replaced["declared"]["users"], replaced["replaced"]["users"]) == (6, 5)
    assert verify(tmp_path / "audit").ok


def test_nothing_is_changed_that_cannot_be_put_on_record(tmp_path):
    config = guard_yaml(tmp_path)
    url = gateway(tmp_path / "ledger.db", {"qwen-2024": range(1, 61)})
    file = export(tmp_path, "gateway-b", {"qwen-2024": [1000]})
    (tmp_path / "audit").write_text("no directory")
    for what in ((file,), ("--declared", "5", *STATED)):
        assert "nothing was changed, as it cannot be put on record" in usage(
            "import", *what, "--config", config, code=73
        )
    assert (users_in(url), declared_in(url)) == (set(range(1, 61)), [])


def test_where_there_is_no_chain_the_operator_is_told_to_keep_the_line(ours, tmp_path):
    done = RUN.invoke(app, ["import", "--declared", "5", *STATED, "--ledger", ours])
    assert done.stderr == "This is in no audit chain, as no configuration names one (--config): keep what is printed.\n"
    config = guard_yaml(tmp_path)
    config.write_text(config.read_text() + "evidence: {audit: false}\n")
    done = RUN.invoke(app, ["import", "--declared", "5", *STATED, "--config", str(config)])
    assert done.stderr == "This is in no audit chain, as evidence.audit is off: keep what is printed.\n"
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a file"),
        (("--declared", "-1", *STATED), "--declared"),
        (("--declared", "5", *STATED, "some.users"), "no files beside it"),
        (("--declared", "5", *STATED[:-2]), "--owner"),
        (("--declared", "5", *STATED[:-1], " "), "one line of text"),
        (("--declared", "5", *STATED, "--license", "qwen-2042"), "did you mean 'qwen-2024'?"),
        (("--declared", "5", *STATED, "--period", "November"), "period 'November'"),
        (("--declared", "5", *STATED, "--stated", "yesterday"), "'yesterday'; allowed: YYYY-MM-DD"),
        (("some.users", "--period", MONTH), "belongs to --declared"),
        (("some.users", "--owner", "legal@example.org"), "belongs to --declared"),
        (("some.users", "--as-declared"), "who answers for the number"),
    ],
)
def test_statements_that_cannot_be_meant_are_bad_usage(ours, arguments, said):
    found = " ".join(usage("import", *arguments, "--ledger", ours, code=2).split())
    assert said in found
    assert declared_in(ours) == []


def test_a_pack_of_ones_own_is_a_known_license(tmp_path):
    own = tmp_path / "packs"
    own.mkdir()
    pack = yaml.safe_load((shipped_licenses() / "qwen-2024.yaml").read_text())
    (own / "acme-1.0.yaml").write_text(yaml.safe_dump({**pack, "id": "acme-1.0", "models": ["acme/*"]}))
    config = guard_yaml(tmp_path)
    config.write_text(f"policies: [{own}]\n" + config.read_text())
    asked = ("import", "--declared", "5", *STATED, "--config", config, "--license")
    assert "did you mean 'acme-1.0'?" in usage(*asked, "acme-1.1", code=2)
    assert usage(*asked, "acme-1.0", "--create").startswith("acme-1.0 in 2026-11: 5 users")


def test_guard_may_count_while_users_are_merged(ours, tmp_path):
    """Another handle writes between the pieces of a file, as a running gateway does."""
    file = export(tmp_path, "b", {"qwen-2024": range(1000, 20_000)})
    running = open_ledger(ours)
    from guard.usage.stores.sqlite import SqliteLedger

    written, real = [], SqliteLedger.write

    def write(self, *arguments, **options):
        if self is not running:
            user = -1 - len(written)
            written.append(user)
            real(running, {Scope(MONTH, "qwen-2024"): [user]}, {}, owner="gateway-a", day=TODAY)
        return real(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteLedger, "write", write)
        usage("import", file, "--ledger", ours)
    running.close()
    assert len(written) == 3
    assert users_in(ours) == {*range(1, 61), *range(1000, 20_000), *written}


def test_users_in_the_spool_are_not_in_the_file_and_it_is_said(tmp_path):
    from usage_world import NOVEMBER, counter_on, sqlite_ledger

    ledger = sqlite_ledger(tmp_path)
    counter = counter_on(ledger, tmp_path / "spool")
    counter.sight(("qwen-2024",), 1, NOVEMBER)
    counter.flush()
    counter.sight(("qwen-2024",), 2, NOVEMBER)
    asked = ("export", "--ledger", url_of(tmp_path / "ledger.db"), "--period", MONTH, "--out", tmp_path / "x")
    assert [(each["users"], each["in_spool"]) for each in usage_json(*asked)["licenses"]] == [(1, 1)]
    counter.stop(1)
    ledger.close()


def test_the_ledger_that_cannot_be_opened_is_the_configurations_fault(tmp_path):
    file = export(tmp_path, "b", {"qwen-2024": [1]})
    (tmp_path / "junk.db").write_bytes(b"not a database at all, but long enough to look at" * 50)
    junk = url_of(tmp_path / "junk.db")
    assert "junk.db" in usage("import", file, "--ledger", junk, code=78)
    assert "junk.db" in usage("export", "--ledger", junk, "--period", MONTH, "--out", tmp_path / "x", code=78)


def test_both_print_json(ours, tmp_path):
    file = export(tmp_path, "b", {"qwen-2024": [1000]})
    assert usage_json("import", file, "--ledger", ours) == [
        {"file": str(file), "source": "b", "period": MONTH, "license": "qwen-2024", "read": 1, "new": 1, "users": 61,
         "replaced": []}
    ]  # fmt: skip
    (row,) = json.loads(usage("import", "--declared", "5", *STATED, "--ledger", ours, "--json"))
    assert row["declared"]["users"] == 5
    assert os.path.exists(file)  # noqa: PTH110  (the source stays as it was)
