"""Segments made by hand: outputs of any shape, without texts or fingerprints."""

from array import array
from random import Random

from hypothesis import strategies as st

from guard.provenance.frames import Output
from guard.provenance.packing import pack

NOW = 1_795_000_000.0  # 2026-11-18
MONTH = "2026-11"
MASTER = b"a master key of this test, 32 b."


def keys(values):
    """Return numbers as a list of keys."""
    return array("Q", values).tobytes()


def some_keys(seed, count=62):
    """Return so many different keys, sorted, the same for the same seed."""
    return sorted(Random(seed).sample(range(1 << 36), count))


def output(seed=1, label=0, count=62, **changes):
    """Return an output with the keys of ``some_keys``, a digest, a receipt and a prompt of its own."""
    facts = {
        "receipt": f"r-{seed:020x}-0", "time": NOW + seed, "label": label, "flags": 5, "words": 285,
        "prompt": seed & 0xFFFF, "digests": Random(seed).randbytes(16), "keys": pack(keys(some_keys(seed, count))),
    }  # fmt: skip
    return Output(**(facts | changes))


NUMBERS = st.one_of(st.integers(0, 40), st.integers(0, (1 << 36) - 1), st.just((1 << 36) - 1))
"""Keys that meet each other often, and others."""
RECEIPTS = st.one_of(
    st.builds(lambda request, choice: f"r-{request:020x}-{choice}", st.integers(0, 5), st.integers(0, 3)),
    st.sampled_from(
        ["r-" + "A" * 20 + "-1", f"r-{0:020x}-01", f"r-{0:020x}-", f"r-{0:020x}-{10**9}", f"r-{7:020x}-200"]
    ),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
)
OUTPUTS = st.builds(
    Output,
    receipt=RECEIPTS,
    time=st.integers(0, 1 << 41).map(lambda number: number / 1000),
    label=st.integers(0, 1),
    flags=st.integers(0, 7),
    words=st.integers(0, 2**32 - 1),
    prompt=st.integers(0, 4),
    digests=st.lists(st.sampled_from([bytes(16), b"\1" * 16, bytes(range(16))]), max_size=20).map(b"".join),
    keys=st.lists(NUMBERS, max_size=80).map(lambda values: pack(keys(values))),
)
