"""What is shipped and documented is what loads."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from guard.policy.config import Config
from guard.policy.document import PolicyError
from guard.policy.load import load, load_config
from guard.policy.locations import shipped_policies, yaml_files
from guard.policy.packs import load_packs
from guard.policy.watch import STARTING
from guard.usage.address import LedgerUrlError, open_ledger, parse_url, sqlite_url

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = yaml_files(shipped_policies() / "examples")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_without_a_warning_but_of_what_only_its_operator_can_attest(path):
    loaded = load(path)
    assert loaded.snapshot.models
    unattested = [threshold for threshold, known in loaded.snapshot.attested.items() if not known]
    assert len(unattested) == len({id_ for id_, _ in unattested})
    assert {caution.found.split(" (")[0] for caution in loaded.cautions} == {
        f"license {id_} looks at the users of {loaded.snapshot.packs[id_].thresholds[0].reference_month}"
        for id_, _ in unattested
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_ledger_of_an_example_opens(path, tmp_path):
    config = load(path).config
    url = config.usage.ledger or sqlite_url(Path("/var/lib/guard/ledger.db"))
    assert "/var/lib/guard" in url
    open_ledger(url.replace("/var/lib/guard", str(tmp_path))).close()
    assert (tmp_path / "ledger.db").is_file()


@pytest.mark.parametrize("url", [
    "sqlite:///var/l.db", "sqlite:////var/l.db", "sqlite:////l.db", "sqlite:///l.db", "sqlite:///var/l.db?synchronous=full",
    "sqlite:///var/a%20b.db", "sqlite:///var/a b.db", "sqlite:///", "sqlite://h/x.db", "sqlite:///x/", "sqlite://[", "redis://h",
    "sqlite:///var/%00", "", "/var/l.db",
])  # fmt: skip
def test_the_check_accepts_a_ledger_exactly_if_it_can_be_opened(url, tmp_path):
    path = tmp_path / "guard.yaml"
    path.write_text(f"license: gemma\nusage:\n  ledger: '{url}'\n")
    assert outcome(lambda: load_config(path)) == outcome(lambda: parse_url(url))


def outcome(call):
    """True if ``call`` returns, and what it says of the ledger if it does not."""
    try:
        call()
    except (PolicyError, LedgerUrlError) as error:
        return str(error).partition("ledger")[2].lstrip(": ")
    return True


def test_there_is_an_example_of_each_kind():
    assert {path.stem for path in EXAMPLES} == {"minimal", "multi-tenant", "shadow", "tenants"}


def fields(model, prefix=""):
    for field, info in model.model_fields.items():
        name = info.alias or field
        yield f"{prefix}{name}", info
        for inner in models_in(info.annotation):
            key = "<name>." if "dict" in str(info.annotation) else "[]." if "tuple" in str(info.annotation) else "."
            joined = f"{prefix}{name}" + (f".{key}" if key == "<name>." else key)
            yield from fields(inner, joined)


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)


@pytest.mark.parametrize(
    ("name", "info"), list(fields(Config)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_setting_is_documented_in_its_own_words(name, info):
    assert info.description
    row = re.search(rf"^\| `{re.escape(name)}` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert row, f"docs/configuration.md has no row for {name}"
    assert row[2] == info.description
    if isinstance(info.default, (str, int)) and not isinstance(info.default, bool):
        assert row[1] == f"`{info.default}`"


def test_no_documented_setting_has_gone():
    documented = set(re.findall(r"^\| `([a-z_0-9.<>\[\]]+)` \| .* \| .* \|$", PAGE, re.MULTILINE))
    assert documented == {name for name, _ in fields(Config)}


def test_what_waits_for_a_restart_is_documented():
    named = {name for name in STARTING if f"`{name}`" not in PAGE.split("## Top level")[0]}
    assert named == {"upstream_timeouts", "upstream_ca", "upstream_connections"}, (
        "these three stand there as upstream_*"
    )


def test_the_shortest_pack_of_the_documentation_is_valid(tmp_path):
    page = (ROOT / "docs" / "writing-a-pack.md").read_text(encoding="utf-8")
    example = re.findall(r"^```yaml\n(.*?)```", page, re.DOTALL | re.MULTILINE)[0]
    (tmp_path / "acme-1.0.yaml").write_text(example)
    assert set(load_packs([tmp_path])) == {"acme-1.0"}


def test_the_yaml_of_the_documentation_loads(tmp_path):
    minimal, relax = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "guard.yaml"
    path.write_text(minimal + relax)
    assert load(path).snapshot.models
