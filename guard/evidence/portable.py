"""A receipt that can be shown elsewhere: its facts, the proof that it stands under a seal, and the seal's signature.

Whoever reads it needs the signer's public key and nothing else: no journal, and nothing of Guard. ``leaf`` is the hash
of the leaf (``guard.evidence.seal``), ``proof`` its road to ``root``, and the signature is over ``root``, ``count``,
``head``, ``sealed`` and ``late``. All hashes are in hexadecimal, keys and signature in base64.
"""

from base64 import b64encode
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard.evidence import merkle
from guard.evidence.entry import LEAVES, SEAL, outline, parse
from guard.evidence.envelope import EnvelopeError, Standing, binary, standing
from guard.evidence.journals import SUFFIX, Chain, journals
from guard.evidence.seal import LOOK_BACK, Leaf, Seal, SealError, leaf_of, signed_bytes
from guard.evidence.signing import Verifier
from guard.evidence.verify import NoJournalError

FORMAT = "guard-receipt/1"
_KINDS: dict[str, set[type]] = {
    "kind": {str},
    "facts": {dict},
    "leaf": {str},
    "index": {int},
    "count": {int},
    "proof": {list},
    "root": {str},
    "head": {str},
    "sealed": {int, float},
    "late": {bool},
    "signature": {str},
    "key": {str},
    "public": {str},
}


class NoReceiptError(Exception):
    """A receipt that no journal has, or none that is signed; the text says which of the two."""


def find(directory: Path, id_: str, keys: Verifier) -> dict[str, Any]:
    """Return the receipt or declaration ``id_`` from the journals in ``directory`` as a portable one.

    ``keys`` give the public key that is put beside the signature, empty where it is not one of them. Raises
    NoReceiptError, NoJournalError where there is no journal, SealError where a seal is not over the leaves before it,
    OSError, and NotAnEntry at a line that is none.
    """
    chains = journals(directory)
    if not chains:
        raise NoJournalError(f"{directory}: no journal (*{SUFFIX}) in this directory")
    seen = False
    for chain in chains:
        portable, there = _find(chain, id_, keys)
        if portable is not None:
            return portable
        seen |= there
    if seen:
        raise NoReceiptError(f"{id_} is on record, and not sealed: a running gateway seals it within a second")
    raise NoReceiptError(f"no journal in {directory} has {id_}")


def verify(document: Mapping[str, Any], keys: Verifier) -> Standing:
    """Return how the signature of a portable receipt stands, and with it every fact in it.

    Raises EnvelopeError for what is no portable receipt.
    """
    if document.get("format") != FORMAT:
        raise EnvelopeError(f"format: {document.get('format')!r}; allowed: {FORMAT}")
    for name, kinds in _KINDS.items():
        if type(document.get(name)) not in kinds:
            raise EnvelopeError(f"{name}: missing, or of another kind")
    if document["kind"] not in LEAVES or type(document["facts"].get("id")) is not str:
        raise EnvelopeError("kind, facts.id: neither a receipt's nor a declaration's")
    try:
        root = bytes.fromhex(document["root"])
        path = [bytes.fromhex(beside) for beside in document["proof"]]
    except (TypeError, ValueError) as error:
        raise EnvelopeError("root, proof: not hashes in hexadecimal") from error
    leaf = leaf_of(document["kind"], document["facts"])
    if leaf is None or leaf.hash.hex() != document["leaf"]:
        return Standing.BROKEN
    if merkle.proved_root(leaf.hash, document["index"], document["count"], path) != root:
        return Standing.BROKEN
    try:
        data = signed_bytes(root, document["count"], document["head"], document["sealed"], late=document["late"])
    except ValueError as error:
        raise EnvelopeError(str(error)) from error
    public, signature = binary(document["public"], "public"), binary(document["signature"], "signature")
    found, key = standing(keys, document["key"], public, data, signature), keys.key(document["key"])
    untimely = found is Standing.VALID and key is not None and not key.in_use(document["sealed"])
    return Standing.UNTIMELY if untimely else found


def _find(chain: Chain, id_: str, keys: Verifier) -> tuple[dict[str, Any] | None, bool]:
    """Return ``id_`` from one chain, if it is sealed there, and whether it is there at all."""
    waiting: deque[bytes] = deque(maxlen=LOOK_BACK)
    wanted, there = f'"id":"{id_}"'.encode(), False
    for _, _, raw in chain.lines():
        if not raw.endswith(b"\n"):
            break
        kind = outline(raw).kind
        if kind in LEAVES:
            waiting.append(raw)
            there |= wanted in raw
        elif kind == SEAL:
            seal = Seal.of(parse(raw).facts)
            covered = _covered(waiting, seal)
            if there and (portable := _portable(covered, seal, id_, keys)):
                return portable, True
    return None, there


def _covered(waiting: deque[bytes], seal: Seal) -> list[bytes]:
    """Take the leaves of ``seal`` from those that wait, and drop those before them, which no seal will cover."""
    first, last, covered = f'"id":"{seal.first}"'.encode(), f'"id":"{seal.last}"'.encode(), list[bytes]()
    while waiting and first not in waiting[0]:
        waiting.popleft()
    while waiting and (not covered or last not in covered[-1]):
        covered.append(waiting.popleft())
    return covered


def _portable(covered: list[bytes], seal: Seal, id_: str, keys: Verifier) -> dict[str, Any] | None:
    entries = [parse(raw) for raw in covered]
    leaves: list[Leaf] = [leaf for entry in entries if (leaf := leaf_of(entry.kind, entry.facts)) is not None]
    index = next((at for at, leaf in enumerate(leaves) if leaf.id == id_), None)
    if index is None:
        return None
    hashes = [leaf.hash for leaf in leaves]
    if merkle.root(hashes) != seal.root:
        raise SealError(f"behind {id_} is not over the leaves before it: run `guard audit verify`")
    entry, key = entries[index], keys.key(seal.key)
    return {
        "format": FORMAT,
        "kind": entry.kind,
        "facts": entry.facts,
        "leaf": hashes[index].hex(),
        "index": index,
        "count": seal.count,
        "proof": [beside.hex() for beside in merkle.proof(hashes, index)],
        "root": seal.root.hex(),
        "head": seal.head,
        "sealed": seal.sealed,
        "late": seal.late,
        "signature": b64encode(seal.signature).decode(),
        "key": seal.key,
        "public": b64encode(key.public).decode() if key is not None else "",
    }
