"""A receipt: that an answer was given, under which license and policy, and a digest that recognizes it.

The digest is keyed BLAKE2b-128 over the answer's words (``guard.provenance.words``), so reformatting keeps it and
nobody without the key can test guesses against it. No text is kept.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from guard.evidence.entry import Canonical, Facts
from guard.licensing.license import License

DIGEST_SIZE = 16
_KEY_SIZES = range(16, 65)
_TIMES = (1.0, 2.0**47)
"""Times between which JSON encoders and RFC 8785 write alike, up to whole numbers."""
_LONGEST = 65_536
"""Bytes below which facts are encoded before they are linked: no line is too long for them."""
_encode = msgspec.json.Encoder().encode
_ID = re.compile(r"r-(.+)-\d+")


def receipt_id(reference: str, choice: int) -> str:
    """Return the id of the receipt for one choice of the request ``reference``; known before the answer is."""
    return f"r-{reference}-{choice}"


def request_of(receipt: str) -> str | None:
    """Return the reference of the request that ``receipt``, an id, is of; None if it is no receipt's id."""
    found = _ID.fullmatch(receipt)
    return found[1] if found is not None else None


class Finished(NamedTuple):
    """What is known of a finished choice besides its texts."""

    reference: str
    choice: int
    time: float
    """Epoch seconds."""
    tenant: str | None
    identity: int | None
    """The keyed pseudonym of the user; never the raw subject."""
    model: str
    licenses: Sequence[License | str]
    """The stack the model was served under; a license given by its id alone has no clause in the receipt."""
    policy: str
    """Hash of the policy snapshot."""
    purpose: str
    surface: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None

    @property
    def id(self) -> str:
        """The id of the choice's receipt."""
        return receipt_id(self.reference, self.choice)

    @property
    def license_ids(self) -> tuple[str, ...]:
        """The ids of the stack."""
        return tuple(license_ if isinstance(license_, str) else license_.id for license_ in self.licenses)


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What the journal keeps of one finished choice; in the order in which RFC 8785 writes its facts."""

    answered: float
    """Epoch seconds; whole ones as a whole number."""
    completion_tokens: int | None
    finish_reason: str | None
    id: str
    identity: str | None
    """The user's keyed pseudonym as 16 hexadecimal digits."""
    licenses: tuple[tuple[str, str], ...]
    """(license id, clause on output use) of every license of the stack."""
    model: str
    output_digest: str | None
    """In hexadecimal; None for both digests if the choice came faster than digests could be made."""
    policy: str
    prompt_digest: str | None
    prompt_tokens: int | None
    purpose: str
    surface: str
    tenant: str | None

    def facts(self) -> dict[str, Any]:
        """Return the receipt as facts of a journal entry."""
        return msgspec.structs.asdict(self)

    def entry(self) -> Facts:
        """Return the facts as the journal takes them: encoded once and for all, if they are JSON."""
        if not _TIMES[0] <= self.answered < _TIMES[1]:
            return self.facts()
        try:
            octets = _encode(self)
        except (TypeError, ValueError, RecursionError):
            return self.facts()
        return Canonical(self.id, octets) if len(octets) < _LONGEST else self.facts()


class Receipts:
    """Makes receipts with one key of 16 to 64 bytes; raises ValueError for any other."""

    def __init__(self, key: bytes) -> None:
        if len(key) not in _KEY_SIZES:
            raise ValueError(f"a provenance key of {len(key)} bytes; allowed: 16 to 64")
        self._prompt = blake2b(digest_size=DIGEST_SIZE, key=key, person=b"guard prompt")
        self._output = blake2b(digest_size=DIGEST_SIZE, key=key, person=b"guard output")
        self._stack: tuple[Sequence[License | str] | None, tuple[tuple[str, str], ...]] = (None, ())
        """The licenses of the last receipt, and what it says of them: one policy gives one tuple to all its answers."""

    def digest(self, words: bytes) -> bytes:
        """Return the digest of an answer's words, as ``guard.provenance.words.Text`` has them."""
        digest = self._output.copy()
        digest.update(words)
        return digest.digest()

    def digest_prompt(self, words: bytes) -> bytes:
        """Return the digest of a prompt's words; an answer of the same words has another digest."""
        digest = self._prompt.copy()
        digest.update(words)
        return digest.digest()

    def make(self, finished: Finished, prompt: bytes | None, output: bytes | None) -> Receipt:
        """Return the receipt of a choice from the digests of its prompt and its released texts."""
        (
            reference, choice, time, tenant, identity, model, licenses, policy, purpose, surface,
            prompt_tokens, completion_tokens, finish_reason,
        ) = finished  # fmt: skip
        stack, said = self._stack
        if licenses is not stack or type(licenses) is not tuple:
            said = clauses(licenses)
            self._stack = licenses, said
        return Receipt(
            int(time) if time % 1.0 == 0.0 else time,
            _count(completion_tokens),
            finish_reason if isinstance(finish_reason, str) else None,
            f"r-{reference}-{choice}",
            pseudonym(identity),
            said,
            model,
            output.hex() if output is not None else None,
            policy,
            prompt.hex() if prompt is not None else None,
            _count(prompt_tokens),
            purpose,
            surface,
            tenant,
        )


def clauses(licenses: Sequence[License | str]) -> tuple[tuple[str, str], ...]:
    """Return (license id, clause on output use) of each; a license given by its id alone has no clause."""
    return tuple(
        (license_, "") if isinstance(license_, str) else (license_.id, license_.output_use.clause)
        for license_ in licenses
    )


def pseudonym(identity: int | None) -> str | None:
    """Return a keyed pseudonym as 16 hexadecimal digits."""
    return None if identity is None else f"{identity & (1 << 64) - 1:016x}"


def _count(tokens: int | None) -> int | None:
    """Return a number of tokens as the server behind told it, unless it is none that can be signed."""
    return tokens if type(tokens) is int and 0 <= tokens < 1 << 53 else None


def key_id(key: bytes) -> bytes:
    """Return 8 bytes that tell keys apart without telling anything about them."""
    return blake2b(b"", digest_size=8, key=key, person=b"guard key id").digest()
