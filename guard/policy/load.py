"""Loading: files to configuration and snapshot, or every problem at once.

What is read while files are replaced is read again until nothing changed: no snapshot is made of half an update.
"""

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from guard.exchange.snapshot import ModelPolicy, Snapshot
from guard.licensing.items import AUP_ITEMS
from guard.policy import check
from guard.policy.attestations import expiries, filed
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, PolicyError, Problem, foreseen, in_order, read_text, scan
from guard.policy.entitlements import with_entitlements
from guard.policy.keyfile import keys_of
from guard.policy.keyset import KeyProblem
from guard.policy.locations import rule_pack, shipped_licenses, shipped_rules, yaml_files
from guard.policy.named import named_files, resolve, without_unusable
from guard.policy.packs import read_packs, shipped_files, shipped_packs
from guard.policy.reading import is_directory, read_bounded
from guard.policy.remote_keys import KeySets
from guard.policy.rules import load_rules
from guard.policy.settings.identity import SignedConfig
from guard.policy.settings.shadows import Shadows
from guard.policy.snapshot import build, model_policy
from guard.policy.tenants import tenant_rule_files, with_tenants
from guard.policy.tokens import TokenVerifier, build_verifier
from guard.policy.validation import Salvaged, salvage
from guard.screening.rules import Rule
from guard.screening.ruleset import RuleSet
from guard.usage.attestation import is_public_key

ATTEMPTS = 5
"""How often files that change under the reader are read again."""

READ_FILES: tuple[Location, ...] = (
    ("upstream_ca",),
    ("admin_token_file",),
    ("policies",),
    ("tests",),
    ("identity", "jwt", "key_file"),
    ("identity", "jwt", "jwks_file"),
    ("identity", "keys_file"),
    ("identity", "pseudonym_key_file"),
    ("usage", "attestations"),
    ("screening", "rules"),
    ("screening", "judge", "key_file"),
    ("screening", "judge", "ca"),
    ("screening", "neural", "weights"),
    ("observability", "traces", "headers_file"),
    ("candidate",),
)
"""Settings whose relative paths are relative to the configuration file."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """One successful load."""

    config: Config
    snapshot: Snapshot
    files: tuple[Path, ...]
    """Every file the snapshot was built from, shipped packs and rules included."""
    watched: tuple[Path, ...]
    """The operator's files and directories: a change in them calls for a reload."""
    digest: str
    """Of what is watched, as it was when the snapshot was made."""
    expires: date | None = None
    """The first day on which something relaxed no longer is; a reload on that day makes it so."""
    cautions: tuple[Caution, ...] = ()
    """What is not wrong but worth knowing, and where it stands: the snapshot's warnings."""
    document: Document = field(default_factory=lambda: Document("defaults", {}, {}))
    """Where everything stands in the configuration file."""
    packs: Mapping[str, Document] = field(default_factory=dict)
    """Where everything stands in the license packs, by id."""
    own_rules: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """What the rules of the operator's own files do where no license rules on their categories: ``block``, ``flag`` ...
    by ``("screening", "rules", ID)``, and ``("tenants", NAME, "rules", ID)`` for those of a tenant."""
    confirmed: tuple[str, ...] = ()
    """The dangerous changes that were confirmed with it, line by line."""


_RulesKey = tuple[str, date, frozenset[str], frozenset[str] | None]


class RuleCache:
    """The rules of one gateway compiled last, by their files: what a reload leaves alone is not compiled again."""

    def __init__(self) -> None:
        self._sets: dict[tuple[Path, ...], tuple[_RulesKey, tuple[RuleSet, tuple[Caution, ...]]]] = {}

    def compiled(
        self,
        files: Sequence[Path],
        today: date,
        shadowed: frozenset[str] = frozenset(),
        items: frozenset[str] | None = AUP_ITEMS,
    ) -> tuple[RuleSet, tuple[Caution, ...]]:
        """Return the rules in ``files``, those ``shadowed`` without effect, and what to know. Raises PolicyError.

        ``items`` are as in ``load_rules``.
        """
        key = digest_of(files), today, shadowed, items
        known = self._sets.get(tuple(files))
        if known is not None and known[0] == key:
            return known[1]
        rules, notes = load_rules(files, today=today, items=items)
        compiled = RuleSet(rules, shadowed), tuple(notes)
        if digest_of(files) == key[0]:  # else replaced meanwhile: what was compiled is not what the key says
            self._sets[tuple(files)] = key, compiled
        return compiled

    def keep(self, sets: Iterable[Sequence[Path]]) -> None:
        """Forget what was compiled of other sets of files than these."""
        self._sets = {files: self._sets[files] for files in map(tuple, sets) if files in self._sets}


def load_config(path: Path | None, overrides: Mapping[str, object] | None = None) -> Config:
    """Return the configuration in ``path`` (None: defaults) with ``overrides`` by dotted name (``usage.ledger``).

    Relative paths of files to be read come out relative to the configuration file. Raises PolicyError.
    """
    with foreseen(_named(path)):
        read = read_config(path, overrides or {})
    if read.problems:
        raise PolicyError(read.problems)
    return read.value


def load(
    path: Path | None,
    overrides: Mapping[str, object] | None = None,
    *,
    today: date | None = None,
    environment: Mapping[str, str] = os.environ,
    rules: RuleCache | None = None,
    key_sets: KeySets | None = None,
    place: Callable[[str], str] | None = None,
) -> Loaded:
    """Return the configuration in ``path`` and the snapshot that follows from it. Raises PolicyError.

    ``rules`` carries the compiled rules from one load to the next; without it they are compiled. ``key_sets`` are those
    behind URLs, fetched where they are new; without it none is, the network is not used, and tokens by them are not
    valid. ``place`` says where the files are that the configuration names; by default they are relative to it.
    """
    day, cache = today or datetime.now(UTC).date(), rules or RuleCache()
    for _ in range(ATTEMPTS):
        own: tuple[Path, ...] = (path,) if path else ()
        watched, first = own, digest_of(own)
        before = first
        outcome: Loaded | PolicyError
        try:
            with foreseen(_named(path)):
                read = read_config(path, overrides or {}, place)
                watched = watched_paths(path, read.value)
                before = digest_of(watched)
                outcome = _load(read, watched, before, overrides or {}, day, environment, cache, key_sets)
        except PolicyError as error:
            outcome = error
        if digest_of(own) == first and digest_of(watched) == before:
            if isinstance(outcome, PolicyError):
                raise outcome
            return outcome
    raise PolicyError([Problem(str(path), 0, "", "the files change while they are read", "files that keep still")])


def _named(path: Path | None) -> str:
    return "defaults" if path is None else str(path)


def policy_for(license_id: str) -> ModelPolicy:
    """Return what follows from a shipped license alone. Raises KeyError for an unknown id."""
    return model_policy(license_id, [shipped_packs()[license_id]], Config(), date.max)


def watched_paths(path: Path | None, config: Config) -> tuple[Path, ...]:
    """Return the operator's files and directories that ``config`` depends on, the configuration file first."""
    keys = [Path(file) for _, signed in signed_by(config) for file in (signed.key_file, signed.jwks_file) if file]
    named = [Path(name) for name in (*config.policies, *config.tests, *config.screening.rules)]
    named += [Path(name) for tenant in config.tenants.values() for name in tenant.rules]
    named += [Path(name) for name in config.usage.attestations]
    named += [Path(config.identity.keys_file)] if config.identity.keys_file else []
    named += [Path(each.key) for each in config.usage.attestors if not is_public_key(each.key)]
    named += [Path(model.license_file) for model in config.models.values() if model.license_file]
    return (*((path,) if path else ()), *named, *keys)


def signed_by(config: Config) -> list[tuple[Location, SignedConfig]]:
    """Return every setting that says how something signed is verified, and where it stands."""
    found: list[tuple[Location, SignedConfig]] = [
        (("identity", "assertions", index), assertion) for index, assertion in enumerate(config.identity.assertions)
    ]
    if config.identity.jwt is not None:
        found.append((("identity", "jwt"), config.identity.jwt))
    return found


def digest_of(paths: Iterable[Path]) -> str:
    """Return a digest over the names and contents of files, and of the YAML files in directories, as they are now.

    Never raises: of what cannot be read (``read_bounded``) the reason is its content.
    """
    digest = sha256()
    for path in paths:
        for file in _files(path):
            try:
                content = read_bounded(file)
            except OSError as error:
                content = f"\0unreadable: {error.strerror}".encode()
            digest.update(f"{file.name}\0{len(content)}\0".encode(errors="surrogatepass"))
            digest.update(content)
        digest.update(b"\n")
    return digest.hexdigest()


def _load(
    read: Salvaged[Config],
    watched: tuple[Path, ...],
    digest: str,
    overrides: Mapping[str, object],
    today: date,
    environment: Mapping[str, str],
    cache: RuleCache,
    key_sets: KeySets | None,
) -> Loaded:
    config, document = read.value, read.document
    own_packs = [Path(name) for name in config.policies]
    problems, elsewhere = list(read.problems), list[Problem]()
    pack_set = read_packs([shipped_licenses(), *own_packs]) if own_packs else shipped_files()
    packs = pack_set.licenses
    elsewhere += pack_set.problems
    keyfile, mistaken = keys_of(config, document)
    elsewhere += mistaken
    lost_keys: frozenset[Location] = frozenset({("identity", "keys")} if mistaken else ())
    document = replace(document, lost=document.lost | pack_set.lost | lost_keys)
    found = check.problems(config, document, packs, keyfile, environment, today)
    verifiers: dict[Location, TokenVerifier] = {}
    unfetched: list[Caution] = []
    for at, signed in signed_by(config):
        try:
            verifiers[at] = build_verifier(signed, environment, key_sets=key_sets, state_dir=Path(config.state_dir))
        except KeyProblem as error:
            found.append(document.problem(at, str(error), "a key that verifies tokens"))
        if signed.jwks_url is not None and key_sets is None:
            unfetched.append(document.caution((*at, "jwks_url"), "not looked at: only a gateway fetches its keys"))
    problems += (overridden(problem, overrides) for problem in found)
    common_rules = _rule_files(config)
    rule_files = {None: common_rules, **tenant_rule_files(config, common_rules)}  # None: everybody without his own
    compiled: dict[str | None, RuleSet] = {}
    notes: dict[Caution, None] = {}
    shadows = Shadows(config.shadows, today)
    shadowed = shadows.rules | shadows.categories
    items = AUP_ITEMS | pack_set.items if not pack_set.problems else None
    for owner, own_rules in rule_files.items():
        try:
            compiled[owner], found_notes = cache.compiled(own_rules, today, shadowed, items)
            notes |= dict.fromkeys(found_notes)
        except PolicyError as error:
            elsewhere += error.problems
    rules = [rule for found_rules in compiled.values() for rule in found_rules.rules]
    if len(compiled) == len(rule_files):
        problems += (overridden(problem, overrides) for problem in check.shadows(config, document, rules))
    if problems or elsewhere:
        raise PolicyError(in_order([*problems, *elsewhere]))
    cache.keep(rule_files.values())
    cautions = (
        *unfetched,
        *notes,
        *check.cautions(config, document, packs, pack_set.documents, keyfile, rules, today),
        *check.idle(config, document, packs, _owned(config, compiled)),
    )
    pack_files = [file for directory in (shipped_licenses(), *own_packs) for file in yaml_files(directory)]
    files = (*pack_files, *dict.fromkeys(file for own_rules in rule_files.values() for file in own_rules))
    expired = [relax.category for relax in config.screening.relax if relax.expires < today]
    expired += [note.note for note in notes if note.strict]
    expired += [entry.target for entry in config.shadows if entry.expires < today]
    expired += [f"{one.license} {one.about}" for one in config.operator.statements if one.expires < today]
    attestation_days = list(expiries(filed(config, packs, today)))
    expired += [f"attested until {day}" for day in attestation_days if day < today]
    snapshot = build(
        config,
        packs,
        compiled[None],
        digest=sha256(f"{digest} {digest_of(files)} {sorted(overrides.items())!r} {expired}".encode()).hexdigest(),
        verifiers=verifiers,
        keyfile=keyfile,
        environment=environment,
        today=today,
        warnings=[caution.note for caution in cautions],
    )
    snapshot = with_entitlements(snapshot, config, packs, keyfile)
    snapshot = with_tenants(snapshot, config, compiled, today)
    last_days = [relax.expires for relax in config.screening.relax]
    last_days += [statement.expires for statement in config.operator.statements]
    last_days += [entry.expires for entry in config.shadows]
    last_days += attestation_days
    last_days += [exemption.expires for rule in rules for exemption in rule.exceptions]
    expiring = [day + timedelta(days=1) for day in last_days if today <= day < date.max]
    own_files = (path for path in watched if path.is_file() and path not in files)
    return Loaded(
        config,
        snapshot,
        files=(*own_files, *files),
        watched=watched,
        digest=digest,
        expires=min(expiring, default=None),
        cautions=cautions,
        document=document,
        packs=pack_set.documents,
        own_rules=_own_rules(config, compiled),
    )


def _files(path: Path) -> Sequence[Path]:
    return yaml_files(path) if is_directory(path) else [path]


def _rule_files(config: Config) -> tuple[Path, ...]:
    return tuple(file for path in (shipped_rules(), *_asked_for(config)) for file in _files(path))


def _asked_for(config: Config) -> list[Path]:
    """The rule files that everybody is screened with because the configuration says so."""
    return [*map(rule_pack, dict.fromkeys(config.screening.rule_packs)), *map(Path, config.screening.rules)]


def _own_rules(config: Config, compiled: Mapping[str | None, RuleSet]) -> dict[tuple[str, ...], str]:
    """The actions of the rules in the files that are named; the others come and go with Guard's version."""
    found: dict[tuple[str, ...], str] = {}
    for owner, own in _owned(config, compiled):
        at = ("screening",) if owner is None else ("tenants", owner)
        found |= {(*at, "rules", rule.id): rule.action.name.lower() for rule in own}
    return found


def _owned(config: Config, compiled: Mapping[str | None, RuleSet]) -> Iterator[tuple[str | None, list[Rule]]]:
    """Everybody's rules that the configuration asks for, under None, and those of each tenant."""
    owned: list[tuple[str | None, list[Path]]] = [(None, _asked_for(config))]
    owned += [(name, list(map(Path, tenant.rules))) for name, tenant in config.tenants.items()]
    for owner, named in owned:
        ids = {id_ for path in named for file in _files(path) for id_ in _rule_ids(file)}
        yield owner, [rule for rule in compiled[owner].rules if rule.id in ids] if ids else []


def _rule_ids(file: Path) -> Iterator[str]:
    for rule in (scan(read_text(file), str(file)).data or {}).get("rules") or ():
        yield rule["id"]


def read_config(
    path: Path | None, overrides: Mapping[str, object], place: Callable[[str], str] | None = None
) -> Salvaged[Config]:
    """Return what is sound of the configuration in ``path``, and its mistakes of form; ``place`` is as in ``load``.

    Raises PolicyError when nothing at all is left.
    """
    document = scan(read_text(path), str(path)) if path is not None else Document("defaults", {}, {})
    if document.data is None:
        document = replace(document, data={})
    if not isinstance(document.data, dict):
        raise PolicyError([document.problem((), "not a mapping", "names and values, such as upstream: URL")])
    data = copy.deepcopy(document.data)
    for name, value in overrides.items():
        _put(data, name.split("."), value)
    if path is not None:
        named = [*READ_FILES, *named_files(data)]
        for location in named:
            resolve(data, location, place or (lambda name: str(path.parent / name)))
        document = without_unusable(document, data, (*named, ("state_dir",)))
    try:
        read = salvage(replace(document, data=data), Config)
    except PolicyError as error:
        raise PolicyError([overridden(problem, overrides) for problem in error.problems]) from None
    problems = (overridden(problem, overrides) for problem in read.problems)
    return replace(read, problems=tuple(sorted(problems, key=lambda problem: problem.line)))


def _put(data: dict[str, Any], names: Sequence[str], value: object) -> None:
    for name in names[:-1]:
        inner = data.get(name)
        if not isinstance(inner, dict):
            inner = data[name] = {}
        data = inner
    data[names[-1]] = value


def overridden(problem: Problem, overrides: Mapping[str, object]) -> Problem:
    """Return the same problem, said of the command line where its value came from there."""
    for name in overrides:
        if problem.path == name or problem.path.startswith((name + ".", name + "[")):
            return replace(problem, file="command line", line=0)
    return problem
