"""``guard policy explain``, as operators and lawyers call it."""

import io
import json

import pytest

from guard.cli.main import run
from guard.evidence.chain import Journal
from guard.policy import load as loading
from guard.policy.packs import shipped_packs
from guard.provenance.receipt import Finished, Receipts


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """No shipped rules: they have tests of their own."""
    (tmp_path / "aup").mkdir()
    monkeypatch.setattr(loading, "shipped_rules", lambda: tmp_path / "aup")
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def explained(capsys, *arguments):
    assert run(["policy", "explain", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def told(capsys, *arguments):
    assert run(["policy", "explain", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_two_llamas_say_opposite_things_of_one_purpose(capsys):
    old = explained(capsys, "--license", "llama-2", "--purpose", "train:gemma-2-9b")
    new = explained(capsys, "--license", "llama-3.1", "--purpose", "train:gemma-2-9b")
    assert [(found["verdict"], found["clause"]) for found in (*old["output_use"], *new["output_use"])] == [
        ("deny", "1.b.v"),
        ("allow_with_obligations", "1.b.i"),
    ]
    assert (old["refusal"]["code"], old["refusal"]["clause"], new["refusal"]) == ("output_use", "1.b.v", None)
    assert any("Built with Llama" in text for text in new["obligations"])


@pytest.mark.parametrize(
    ("license_", "triggers", "clause", "words"),
    [
        (
            "qwen-2024",
            True,
            "4",
            "yes: 800,000,000 of 100,000,000 users, 700,000,000 too many; the license's condition",
        ),
        ("llama-3.1", False, "2", "no: the license looks at 2024-06"),
        ("kimi-k2", True, "last paragraph", "yes: the duty has started"),
    ],
)
def test_does_my_live_count_trigger_this(license_, triggers, clause, words, capsys):
    found = explained(capsys, "--license", license_, "--users", "800000000")
    threshold = found["thresholds"][0]
    assert (threshold["triggers"], threshold["clause"], threshold["state"]) == (triggers, clause, "over")
    assert threshold["says"].startswith(words)
    assert words in told(capsys, "--license", license_, "--users", "800000000")


def test_everything_is_told_in_words(capsys):
    text = told(capsys, "--license", "qwen-2024", "--users", "100000000", "--at-limit", "refuse_newcomers")
    assert text.startswith("POST /v1/chat/completions: deny model served-model, under qwen-2024 403 usage_threshold")
    assert "reserve refused a place under the user limit 403 usage_threshold, qwen-2024 4:" in text
    assert "qwen-2024 4, threshold:" in text
    assert "What would change the outcome a user who is counted already: allow" in text


def test_lines_fit_a_terminal(capsys):
    run(["policy", "explain", "--license", "llama-3.1", "--purpose", "train:gemma-2-9b"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 110


def test_a_known_user_without_a_name_from_a_country_at_a_date(capsys):
    found = explained(
        capsys, "--license", "hunyuan-a13b", "--country", "de", "--at", "2026-06-01", "--user", "", "--known"
    )
    assert found["refusal"]["code"] == "territory"
    identified = next(step for step in found["steps"] if step["step"] == "identify")
    assert identified["says"] == ["identified by none (anonymous), purpose unknown"]


def test_a_body_from_a_file_or_from_standard_input(capsys, tmp_path, monkeypatch):
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "logprobs": True})
    (tmp_path / "body.json").write_text(body)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body.encode())))
    from_file = explained(capsys, "--license", "llama-2", "--body", "body.json")
    assert from_file["refusal"]["code"] == "field_denied"
    assert explained(capsys, "--license", "llama-2", "--body", "-") == from_file
    (tmp_path / "body.json").write_text("{")
    assert explained(capsys, "--license", "llama-2", "--body", "body.json")["refusal"]["code"] == "malformed"


def test_a_stack_and_another_surface(capsys):
    arguments = ("--license", "deepseek-mit", "--license", "llama-2", "--path", "/v1/completions", "--text", "Hi")
    found = explained(capsys, *arguments, "--purpose", "train:gemma-2-9b", "--answer", "Hello")
    assert [line["license"] for line in found["output_use"]] == ["deepseek-mit", "llama-2"]
    assert found["refusal"]["license"] == "llama-2"


CONFIG = """
models: {m: {license: llama-2}, free: {license: mistral-apache}}
identity: {keys: [{name: lab, sha256: "%s", purpose: "train:gemma-2-9b"}]}
state_dir: state
""" % ("0" * 64)


def test_a_configuration_is_explained_with_its_tenants(capsys, tmp_path):
    (tmp_path / "guard.yaml").write_text(CONFIG)
    assert explained(capsys, "--model", "m", "--tenant", "lab")["refusal"]["code"] == "output_use"
    assert explained(capsys, "--model", "free", "--tenant", "lab")["verdict"] == "allow"
    assert explained(capsys, "--model", "other")["refusal"]["code"] == "license_terms"


def test_a_tenant_that_nobody_knows_is_bad_usage_with_the_nearest_name(capsys, tmp_path):
    (tmp_path / "guard.yaml").write_text(CONFIG + "tenants: {desk: {match: {keys: [lab]}, mode: enforce}}\n")
    for given, said in (
        ("dekk", "no tenant and no key is called 'dekk'; did you mean 'desk'?"),
        ("lob", "no tenant and no key is called 'lob'; did you mean 'lab'?"),
        ("zzz", "no tenant and no key is called 'zzz'; allowed: desk, lab"),
    ):
        assert run(["policy", "explain", "--model", "m", "--tenant", given]) == 64
        assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert explained(capsys, "--model", "m", "--tenant", "desk")["refusal"]["code"] == "output_use"


OWN = (
    "id: acme-1.0\nname: Acme\ndate: '2026'\nstatus: confirmed\nfamily: acme\nversion: acme\nsources: [Acme]\n"
    "output_use: {rule: unrestricted, status: confirmed}\n"
)


def test_the_packs_of_a_configuration_are_known_to_explain_show_and_list(capsys, tmp_path, monkeypatch):
    (tmp_path / "etc/packs").mkdir(parents=True)
    (tmp_path / "etc/packs/acme-1.0.yaml").write_text(OWN)
    (tmp_path / "etc/guard.yaml").write_text("policies: [packs]\nmodels: {m: {license: acme-1.0}}\n")
    assert run(["policy", "explain", "--license", "acme-1.0"]) == 64
    assert run(["policy", "show", "acme-1.0"]) == 64
    capsys.readouterr()

    def known(*where):
        assert explained(capsys, "--license", "acme-1.0", *where)["verdict"] == "allow"
        assert run(["policy", "show", "acme-1.0", "--markdown", *where]) == 0
        assert capsys.readouterr().out.startswith("# Acme\n")
        assert run(["policy", "list", "--json", *where]) == 0
        ids = [entry["id"] for entry in json.loads(capsys.readouterr().out)]
        assert ids[-1] == "acme-1.0"
        assert "llama-2" in ids

    known("--config", "etc/guard.yaml")
    monkeypatch.setenv("GUARD_CONFIG", "etc/guard.yaml")
    known()
    monkeypatch.delenv("GUARD_CONFIG")
    monkeypatch.chdir(tmp_path / "etc")
    known()


def test_packs_that_are_mistaken_are_said_to_be(capsys, tmp_path):
    (tmp_path / "guard.yaml").write_text("policies: 5\nmode: x\nlicense: llama-2\n")
    assert run(["policy", "list"]) == 78
    assert capsys.readouterr().err == "guard.yaml:1: policies: '5'; allowed: a list, e.g. [my-licenses]\n"
    (tmp_path / "guard.yaml").write_text("mode: x\nlicense: llama-2\n")  # which `check` is for
    assert run(["policy", "list"]) == 0


def test_what_is_not_stated_is_told_at_admission_and_in_the_headline(capsys):
    text = told(capsys, "--license", "falcon-180b")
    assert text.startswith("POST /v1/chat/completions: allow, with 1 thing to be stated model served-model")
    assert "admit noted is the model served" in text
    assert "falcon-180b wants a statement about hosting [9.1]: hosting use" in text
    assert "nobody states it; operator.unstated is warn" in text
    found = explained(capsys, "--license", "falcon-180b")
    assert (found["verdict"], found["headline"]) == ("allow", "allow, with 1 thing to be stated")
    assert [(need["about"], need["clause"]) for need in found["unstated"]] == [("hosting", "9.1")]
    assert "wants a statement about hosting" in next(s for s in found["steps"] if s["step"] == "admit")["says"][-1]
    assert explained(capsys, "--license", "qwen-apache")["headline"] == "allow"


def test_a_statement_that_is_made_is_not_wanted(capsys, tmp_path):
    stated = "{license: falcon-180b, about: hosting, says: order 7, owner: legal@example.org, expires: 2099-01-01}"
    config = "models: {m: {license: falcon-180b}}\noperator: {unstated: refuse%s}\n"
    (tmp_path / "guard.yaml").write_text(config % f", statements: [{stated}]")
    assert explained(capsys, "--model", "m")["headline"] == "allow"
    (tmp_path / "guard.yaml").write_text(config % "")
    found = explained(capsys, "--model", "m")
    assert (found["headline"], found["refusal"]["clause"]) == ("deny", "9.1")
    assert found["steps"][-1]["says"][-1].endswith("operator.unstated is refuse")


def test_what_is_owed_for_an_allowed_request_stands_in_the_headline(capsys):
    found = explained(capsys, "--license", "llama-3.1", "--purpose", "train:gemma-2-9b")
    assert (found["verdict"], found["headline"]) == ("allow", "allow, with obligations")


DECISION = {
    "reference": "a" * 20, "verdict": "deny", "ending": "refused", "surface": "chat", "model": "m",
    "licenses": ["llama-2"], "policy": "0" * 64, "mode": "enforce",
    "identity": {"source": "body", "assurance": "asserted", "tenant": None, "purpose": "unknown", "user": "0" * 16},
    "refused": {"code": "output_use", "license": "llama-2", "clause": "1.b.v", "category": None}, "shadowed": [],
    "not_evaluated": [], "obligations": [], "findings": [],
}  # fmt: skip


def test_a_real_request_is_explained_from_the_audit_chain(capsys, tmp_path):
    (tmp_path / "guard.yaml").write_text(CONFIG)
    journal = Journal(tmp_path / "state/audit", instance="one")
    journal.path.parent.mkdir(parents=True)
    journal.start()
    journal.append("decision", DECISION)
    journal.close()
    text = told(capsys, "--reference", "a" * 20)
    assert text.startswith("a" * 20)
    assert "surface chat: deny, refused, in mode enforce" in text
    assert "refused: output_use, llama-2 1.b.v llama-2 1.b.v, output use: neither the materials nor any output" in text
    assert "state/audit/one.jsonl:2" in text
    assert "No text is kept" in text
    found = explained(capsys, "--reference", "a" * 20)
    assert found["decision"]["reference"] == "a" * 20
    assert found["explained"][-1]["citations"][0]["clause"] == "1.b.v"


def test_a_served_answer_is_explained_from_its_receipt(capsys, tmp_path):
    (tmp_path / "guard.yaml").write_text(CONFIG)
    journal = Journal(tmp_path / "state/audit", instance="one")
    journal.path.parent.mkdir(parents=True)
    journal.start()
    licenses = [shipped_packs()["mistral-apache"]]
    finished = Finished("c" * 20, 0, 1.8e9, None, None, "free", licenses, "0" * 64, "unknown", "chat")
    journal.append("receipt", Receipts(bytes(32)).make(finished, None, None).facts())
    journal.close()
    text = told(capsys, "--reference", "c" * 20)
    assert text.startswith("c" * 20)
    assert "surface chat: allow" in text
    assert "1 receipt, one for every finished choice model free, under mistral-apache" in text
    assert "state/audit/one.jsonl:2" in text
    found = explained(capsys, "--reference", "c" * 20)
    assert (found["reference"], found["decision"], len(found["receipts"])) == ("c" * 20, None, 1)


def test_an_unknown_reference_exits_1_and_says_why_there_may_be_none(capsys, tmp_path):
    (tmp_path / "guard.yaml").write_text(CONFIG)
    assert run(["policy", "explain", "--reference", "b" * 20]) == 1
    assert "nothing is recorded about " + "b" * 20 in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no guard.yaml here"),
        (["--license", "llama-31"], "did you mean 'llama-3.1'?"),
        (["--license", "zzz"], "unknown license 'zzz'; `guard policy list` names those that are known"),
        (["--license", "llama-2", "--tenant", "desk"], "a license alone has no tenants and no keys"),
        (["--license", "llama-2", "--text", "a", "--body", "b"], "allowed: --text or --body"),
        (["--license", "llama-2", "--purpose", "train"], "train:TARGET"),
        (["--license", "llama-2", "--at", "soon"], "a time such as 2026-06-01T12:00:00Z"),
        (["--license", "llama-2", "--country", "Germany"], "an ISO 3166 code"),
        (["--license", "llama-2", "--at-limit", "stop"], "observe, refuse_newcomers, refuse_all"),
        (["--license", "llama-2", "--users", "-1"], "--users"),
    ],
)
def test_bad_usage_is_told(arguments, said, capsys):
    assert run(["policy", "explain", *arguments]) == 64
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_body_that_cannot_be_read_is_bad_input(capsys):
    assert run(["policy", "explain", "--license", "llama-2", "--body", "nowhere"]) == 65
    assert capsys.readouterr().err == "nowhere cannot be read: No such file or directory\n"
