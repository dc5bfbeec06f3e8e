"""The weights file of tier 2: eight bytes of magic, the length of the header, a JSON header, the table.

The header holds what turns sums into probabilities and the operating points; the table is ``2 ** BITS`` rows of HEADS
signed bytes; the SHA-256 of all that is at the end. ``python -m guard.screening.train`` writes it, the same bytes from
the same data.
"""

import json
import math
from dataclasses import asdict, astuple, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from guard.screening.categories import CATEGORIES
from guard.screening.learned.twin import BITS, HEADS

MAGIC = b"GUARDW2\n"
_DIGEST = 32
"""Bytes of SHA-256."""
NAMES = ("unsafe", *(code for code in CATEGORIES if code != "D1"), "D1")
"""Of the heads, in the table's order. D1 is a matter of license, no hazard: it is no part of ``unsafe``."""
SHIPPED = Path(__file__).with_name("weights.bin")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Logits from which on a text is flagged and blocked: what 1 % and 0.1 % of long benign prompts reach."""

    flag: float
    block: float


@dataclass(frozen=True, slots=True)
class Weights:
    """One trained model. ``heads`` are NAMES."""

    heads: tuple[str, ...]
    scales: tuple[float, ...]
    """What one unit of a head's sum is worth, in logits."""
    biases: tuple[float, ...]
    unsafe: Thresholds
    d1: Thresholds
    corpus: str
    """SHA-256 of the data it was trained on."""
    table: bytes

    def write(self, path: Path) -> None:
        """Write the file; the same weights give the same bytes."""
        path.write_bytes(self.content())

    def content(self) -> bytes:
        """Return what the file holds."""
        facts = {name: value for name, value in asdict(self).items() if name != "table"}
        header = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
        body = MAGIC + len(header).to_bytes(4, "little") + header + self.table
        return body + sha256(body).digest()

    @classmethod
    def read(cls, path: Path = SHIPPED) -> "Weights":
        """Return the weights in ``path``. Raises ValueError if it is no such file, OSError if it cannot be read."""
        content = path.read_bytes()
        if content[:8] != MAGIC:
            raise ValueError(f"{path}: no weights of tier 2 (they begin with {MAGIC!r})")
        if sha256(content[:-_DIGEST]).digest() != content[-_DIGEST:]:
            raise ValueError(f"{path}: damaged: it is not what its SHA-256 at the end says")
        length = int.from_bytes(content[8:12], "little")
        table = content[12 + length : -_DIGEST]
        if len(table) != HEADS << BITS:
            raise ValueError(f"{path}: a table of {len(table)} bytes; allowed: {HEADS << BITS}")
        try:
            facts = json.loads(content[12 : 12 + length])
            found = cls(
                tuple(facts["heads"]),
                tuple(map(float, facts["scales"])),
                tuple(map(float, facts["biases"])),
                _thresholds(facts["unsafe"]),
                _thresholds(facts["d1"]),
                facts["corpus"],
                table,
            )
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: no header of tier 2: {type(error).__name__}: {error}") from None
        if found.heads != NAMES or not len(found.scales) == len(found.biases) == HEADS:
            raise ValueError(f"{path}: no header of tier 2: heads, scales or biases are not those of {NAMES}")
        numbers = (*found.scales, *found.biases, *astuple(found.unsafe), *astuple(found.d1))
        if not all(map(math.isfinite, numbers)) or any(each.flag > each.block for each in (found.unsafe, found.d1)):
            raise ValueError(f"{path}: no header of tier 2: numbers are not finite, or block is below flag")
        return found


def _thresholds(facts: dict[str, float]) -> Thresholds:
    return Thresholds(float(facts["flag"]), float(facts["block"]))


@cache
def shipped() -> Weights:
    """Return the weights that come with Guard, read once per process."""
    return Weights.read()
