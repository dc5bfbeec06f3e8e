"""``guard usage attest`` writes what its owner states, and tells whether such a file counts."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from guard.cli.main import run
from guard.usage.attestation import Signed


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)


def attest(*options, **named):
    settings = {
        "license": "llama-3.1", "users": 12_000_000, "owner": "legal@example.org", "statement": "analytics report 7",
        "licensee": "Example GmbH", "active_user": "an account", "key": "legal.pem", "out": "a.json",
    } | named  # fmt: skip
    given = [(f"--{name.replace('_', '-')}", str(value)) for name, value in settings.items() if value is not None]
    return run(["usage", "attest", *(word for pair in given for word in pair), *options])


def verify(*files):
    return run(["usage", "attest", "--verify", *files])


def test_what_is_stated_is_signed_with_a_key_of_its_own_and_verifies(tmp_path, capsys):
    assert attest() == 0
    printed = capsys.readouterr()
    assert printed.err == "there is no key legal.pem: a new one is made, which is to be kept and shown to nobody\n"
    assert (tmp_path / "legal.pem").stat().st_mode & 0o777 == 0o600
    signed = Signed.from_json((tmp_path / "a.json").read_bytes())
    said = signed.attestation
    assert (said.license, said.threshold, said.reference_month, said.users) == (
        "llama-3.1", "mau_700m", "2024-06", 12_000_000,
    )  # fmt: skip
    assert said.products == "all products and services made available by or for the licensee, with or without the model"
    assert (said.affiliates, said.covers_all) == ("the licensee and its affiliates, taken together", True)
    assert printed.out.splitlines() == [
        "a.json: ok",
        "  llama-3.1 mau_700m, 2024-06: 12,000,000 users",
        f"  of Example GmbH: {said.products}; {said.affiliates}",
        "  stated to be everything that the license counts",
        "  an active user: an account",
        f"  analytics report 7 (legal@example.org, {said.stated})",
        f"  signed with {signed.key}",
    ]
    assert verify("a.json") == 0
    assert capsys.readouterr().out == printed.out


def test_the_same_key_signs_the_next_one_and_is_warned_about_if_others_may_read_it(tmp_path, capsys):
    assert attest() == 0
    assert attest("--at-most", out="b.json") == 0
    assert capsys.readouterr().err.count("no key") == 1
    (tmp_path / "legal.pem").chmod(0o640)
    assert (
        attest("--covers-all", out="c.json", products="chat and search", affiliates="all of them", expires="2999-12-31")
        == 0
    )
    assert capsys.readouterr().err == (
        "warning: others than its owner may read the key legal.pem; chmod 600 legal.pem\n"
    )
    signed = [Signed.from_json((tmp_path / name).read_bytes()) for name in ("a.json", "b.json", "c.json")]
    assert len({each.public_key for each in signed}) == 1
    assert [each.attestation.at_most for each in signed] == [False, True, False]
    last = signed[2].attestation
    assert (last.products, last.affiliates, last.expires) == ("chat and search", "all of them", "2999-12-31")


def test_more_than_the_license_allows_is_written_and_ends_with_one(tmp_path, capsys):
    assert attest(users=700_000_001) == 1
    assert "more than the 700,000,000 that llama-3.1 allows (2): it gives no rights" in capsys.readouterr().out
    assert (tmp_path / "a.json").is_file()
    assert verify("a.json") == 1
    assert attest("--at-most", users=700_000_001, out="b.json") == 1
    assert "leaves open whether there were more than the 700,000,000" in capsys.readouterr().out


@pytest.mark.parametrize(("change", "said"), [
    ({"reference_month": "2024-05"}, "llama-3.1 looks at 2024-06 (2), not at 2024-05"),
    ({"license": "lama-3.1"}, "unknown license 'lama-3.1'; did you mean 'llama-3.1'?"),
    ({"license": "qwen-2024"}, "qwen-2024 looks at the users of no past month"),
    ({"threshold": "mau"}, "llama-3.1 has no 'mau' that looks at one month; allowed: mau_700m"),
    ({"licensee": None}, "--licensee: whose users, --active-user: who was counted"),
    ({"active_user": None}, "--licensee: whose users, --active-user: who was counted"),
    ({"active_user": " "}, "active_user: ' '; allowed: one line of text"),
    ({"users": None}, "--license, --users, --statement, --owner and --out, or --verify"),
    ({"owner": " "}, "owner: ' '; allowed: one line of text"),
    ({"expires": "2020-01-01"}, "expires: '2020-01-01', before it was stated"),
])  # fmt: skip
def test_what_cannot_be_meant_is_bad_usage_and_leaves_no_file(change, said, tmp_path, capsys):
    assert attest(**change) == 64
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_the_month_may_be_named_and_a_statement_is_not_overwritten(tmp_path, capsys):
    assert attest(reference_month="2024-06", threshold="mau_700m") == 0
    before = (tmp_path / "a.json").read_bytes()
    assert attest(users=5) == 64
    assert "a.json is there already; a statement is not overwritten" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "a.json").read_bytes() == before
    assert run(["usage", "attest", "a.json"]) == 64
    assert run(["usage", "attest", "--verify"]) == 64


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(("content", "said"), [
    (b"no key", "is no private Ed25519 key"),
    (pem(generate_private_key(SECP256R1())), "is no private Ed25519 key"),
    (pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")), "is encrypted; allowed: PEM without"),
])  # fmt: skip
def test_a_key_that_cannot_sign_is_said_to_be_none_and_stays(content, said, tmp_path, capsys):
    (tmp_path / "legal.pem").write_bytes(content)
    assert attest() == 65
    assert f"key legal.pem {said}" in capsys.readouterr().err
    assert (tmp_path / "legal.pem").read_bytes() == content
    assert not (tmp_path / "a.json").exists()


def test_a_place_where_no_key_can_be_made_is_said(capsys):
    assert attest(key="no/where.pem") == 73
    assert "key no/where.pem cannot be made: No such file or directory" in capsys.readouterr().err
    assert attest(out="no/where.json") == 73
    assert "no/where.json cannot be written: No such file or directory" in capsys.readouterr().err


def test_scripts_get_every_file_with_what_is_wrong_with_it(tmp_path, capsys):
    assert attest() == 0
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "b.json").write_text(text.replace("12000000", "11000000"))
    capsys.readouterr()
    assert verify("a.json", "b.json", "--json") == 1
    good, forged = json.loads(capsys.readouterr().out)["attestations"]
    assert (good["ok"], good["problem"], good["attestation"]["users"], good["signer"]) == (True, None, 12_000_000, None)
    assert forged == {
        "file": "b.json", "ok": False,
        "problem": "the signature does not hold: the statement, the key or the signature was changed",
    }  # fmt: skip
    (tmp_path / "c.json").write_text("{}")
    assert verify("a.json", "c.json") == 65
    assert capsys.readouterr().out.endswith("c.json: the file: attestation is missing\n")
    assert verify("gone.json") == 65
    assert capsys.readouterr().out == "gone.json: cannot be read: No such file or directory\n"


def test_the_configurations_attestors_are_the_ones_who_count(tmp_path, capsys):
    assert attest() == 0
    assert attest(key="other.pem", out="b.json") == 0
    key = Signed.from_json((tmp_path / "a.json").read_bytes()).key
    (tmp_path / "guard.yaml").write_text(
        f"models: {{m: {{license: llama-3.1}}}}\nusage: {{attestors: [{{name: legal, key: {key}}}]}}\n"
    )
    capsys.readouterr()
    assert verify("a.json", "b.json") == 1
    printed = capsys.readouterr().out
    assert f"signed with {key}, legal\n" in printed
    assert "b.json: signed with the key of nobody in usage.attestors\n" in printed


def test_words_that_are_not_the_licenses_are_a_part_until_somebody_says_that_they_are_all(tmp_path, capsys):
    words = {"products": "mobile app only", "affiliates": "none"}
    assert attest(**words) == 1
    said = (
        "a.json: partial: nothing says that these are all users whom llama-3.1 counts (all products or services made "
        "available by or for the licensee, with or without the model; the licensee and its affiliates, taken together; "
        '"active user" is not defined), so it shows nothing; if they are, sign it with --covers-all\n'
    )
    printed = capsys.readouterr().out
    assert printed.startswith(said)
    assert "  stated to be only a part of what the license counts\n" in printed
    assert not Signed.from_json((tmp_path / "a.json").read_bytes()).attestation.covers_all
    assert verify("a.json") == 1
    assert capsys.readouterr().out == printed
    assert attest("--covers-all", **words, out="b.json") == 0
    assert Signed.from_json((tmp_path / "b.json").read_bytes()).attestation.covers_all
    assert attest(products=Signed.from_json((tmp_path / "a.json").read_bytes()).attestation.products, out="c.json") == 1
    assert attest(**words, users=700_000_001, out="d.json") == 1
    assert "it gives no rights" in capsys.readouterr().out


def test_the_licensee_is_the_configurations(tmp_path, capsys):
    assert attest(licensee="Sample AG") == 0
    (tmp_path / "guard.yaml").write_text("operator: {name: Example GmbH}\nmodels: {m: {license: llama-3.1}}\n")
    capsys.readouterr()
    assert verify("a.json") == 1
    assert "a.json: about the users of 'Sample AG'; operator.name is 'Example GmbH'\n" in capsys.readouterr().out
    assert attest(licensee="Sample AG", out="b.json") == 64
    assert "'Sample AG', but operator.name is 'Example GmbH'" in " ".join(capsys.readouterr().err.split())
    assert attest(out="b.json") == 0


def test_a_reading_of_a_silent_license_is_said_to_be_one(tmp_path):
    assert attest(license="hunyuan-large", users=5) == 0
    reading = "operator: {name: Example GmbH}\nmodels: {m: {license: hunyuan-large}}\n"
    (tmp_path / "guard.yaml").write_text(f"{reading}usage: {{affiliates: {{hunyuan-large: exclude}}}}\n")
    assert attest(license="hunyuan-large", users=5, out="b.json") == 0
    signed = [Signed.from_json((tmp_path / name).read_bytes()).attestation for name in ("a.json", "b.json")]
    silent = "(the license does not mention affiliates; this is a reading of it)"
    assert [(each.affiliates, each.covers_all) for each in signed] == [
        (f"the licensee and its affiliates, taken together {silent}", True),
        (f"the licensee without its affiliates {silent}", True),
    ]


def test_a_license_of_ones_own_may_have_several_months(tmp_path, capsys):
    (tmp_path / "packs").mkdir()
    threshold = (
        "  - {{id: {}, metric: monthly_active_users, value: {}, window: release_snapshot, reference_month: '2026-0{}',\n"
        "     scope: s, counted: c, products: all, affiliates: included, consequence: no_rights, effect: e,\n"
        "     clause: '2', status: confirmed}}\n"
    )
    (tmp_path / "packs" / "acme-1.0.yaml").write_text(
        "id: acme-1.0\nname: Acme\ndate: '2026-03-01'\nstatus: confirmed\nfamily: acme\nversion: acme\n"
        "sources: [Acme]\noutput_use: {rule: unrestricted, status: confirmed}\nthresholds:\n"
        + threshold.format("small", 10, 1)
        + threshold.format("large", 100, 2)
    )
    (tmp_path / "guard.yaml").write_text("policies: [packs]\nmodels: {m: {license: acme-1.0}}\n")
    assert attest(license="acme-1.0", users=50) == 64
    assert "acme-1.0 has several; allowed: small, large" in " ".join(capsys.readouterr().err.split())
    assert attest(license="acme-1.0", users=50, threshold="large") == 0
    assert attest(license="acme-1.0", users=50, threshold="small", out="b.json") == 1
    assert Signed.from_json((tmp_path / "a.json").read_bytes()).attestation.reference_month == "2026-02"
