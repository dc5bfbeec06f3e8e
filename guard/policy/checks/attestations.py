"""What is attested counts, shows what the licenses want shown, and is signed by somebody who is named."""

from collections.abc import Iterator, Mapping
from datetime import date

from guard.licensing.license import License
from guard.policy.attestations import Filed, Ground, attested, attestor_key, filed
from guard.policy.checks.stacks import served_at, stacks_in_use
from guard.policy.config import Config
from guard.policy.document import Caution, Document, Location, Problem
from guard.usage.attestation import AttestationError


def attestors(config: Config, document: Document) -> Iterator[Problem]:
    """Yield a problem for every attestor whose key cannot be used or is another's, and for a file named twice."""
    seen: dict[bytes, str] = {}
    for index, attestor in enumerate(config.usage.attestors):
        at: Location = ("usage", "attestors", index, "key")
        try:
            key = attestor_key(attestor)
        except AttestationError as error:
            found, _, allowed = str(error).partition("; allowed: ")
            yield document.problem(at, f"the key of {attestor.name} is {found}", allowed)
        except OSError as error:
            yield document.problem(
                at, f"the key of {attestor.name} cannot be read: {error.strerror}", "a file, or base64"
            )
        else:
            if key in seen:
                yield document.problem(at, f"the key of {attestor.name} is that of {seen[key]}", "each key once")
            seen.setdefault(key, attestor.name)
    files = config.usage.attestations
    for index, name in enumerate(files):
        if name in files[:index]:
            yield document.problem(("usage", "attestations", index), "the same file is there twice", "each file once")


def attestation_warnings(
    config: Config, document: Document, packs: Mapping[str, License], today: date
) -> Iterator[Caution]:
    """Yield what licenses want attested and is not, what gives no rights, and attestations that count for nothing."""
    files = filed(config, packs, today)
    relied: list[Filed] = []
    for name, stack in stacks_in_use(config, packs):
        for found in attested(stack, files):
            if found.filed is not None:
                relied.append(found.filed)
            if found.ground in {Ground.MISSING, Ground.OPEN}:
                yield document.caution(served_at(name, config), found.lacks, subject=name, strict=True)
            elif found.ground is Ground.BEYOND and found.filed is not None:
                at: Location = ("usage", "attestations", found.filed.index)
                yield document.caution(at, found.lacks, subject=name, strict=True)
    served = {license_.id for _, stack in stacks_in_use(config, packs) for license_ in stack}
    for each in files:
        at = ("usage", "attestations", each.index)
        subject = f"usage.attestations {config.usage.attestations[each.index]}"
        said = each.signed.attestation if each.signed is not None else None
        if each.wrong is not None:
            yield document.caution(at, each.wrong, subject=subject, strict=True)
        elif said is not None and said.license not in served:
            yield document.caution(at, f"about license {said.license}, which no model is under", subject=subject)
        elif said is not None and each not in relied:
            yield document.caution(at, f"another one about {said.license} was stated later and counts", subject=subject)
    if files and not config.usage.attestors:
        found_ = "usage.attestors names nobody, so whoever signed them is believed"
        yield document.caution(("usage", "attestations"), found_)
