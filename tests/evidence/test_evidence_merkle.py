"""The tree of RFC 6962: one root for a batch, and a proof for each of its leaves that nothing else has."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.evidence.merkle import leaf_hash, proof, proved_root, root

RFC_LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"
)]  # fmt: skip
"""The inputs, roots and paths with which the implementations of Certificate Transparency test themselves."""
RFC_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
leaves = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def by_the_letter(hashes):
    """RFC 6962, 2.1, as it is written there."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + by_the_letter(hashes[:split]) + by_the_letter(hashes[split:])).digest()


@pytest.mark.parametrize("count", range(1, 9))
def test_the_roots_are_those_of_certificate_transparency(count):
    assert root([leaf_hash(leaf) for leaf in RFC_LEAVES[:count]]).hex() == RFC_ROOTS[count - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing():
    assert root([]) == sha256(b"").digest()


@settings(max_examples=60, deadline=None)
@given(leaves)
def test_every_leaf_is_proved_and_the_tree_is_the_rfcs(texts):
    hashes = [leaf_hash(text) for text in texts]
    assert root(hashes) == by_the_letter(hashes)
    for index, leaf in enumerate(hashes):
        path = proof(hashes, index)
        assert len(path) <= max(len(hashes) - 1, 0).bit_length()
        assert proved_root(leaf, index, len(hashes), path) == root(hashes)


@settings(max_examples=60, deadline=None)
@given(leaves, st.data())
def test_nothing_else_is_proved(texts, data):
    hashes = [leaf_hash(text) for text in texts]
    index = data.draw(st.integers(0, len(hashes) - 1))
    path, whole = proof(hashes, index), root(hashes)
    other = leaf_hash(data.draw(st.binary(max_size=40)) + b"!" * 41)
    assert proved_root(other, index, len(hashes), path) != whole
    elsewhere = data.draw(st.integers(-2, len(hashes) + 2))
    if elsewhere not in range(len(hashes)) or hashes[elsewhere] != hashes[index]:
        assert proved_root(hashes[index], elsewhere, len(hashes), path) != whole
    if path:
        at = data.draw(st.integers(0, len(path) - 1))
        assert proved_root(hashes[index], index, len(hashes), [*path[:at], other, *path[at + 1 :]]) != whole
        assert proved_root(hashes[index], index, len(hashes), path[:at] + path[at + 1 :]) != whole
    assert proved_root(hashes[index], index, len(hashes), [*path, other]) is None


def test_a_node_does_not_pass_for_a_leaf():
    two = [leaf_hash(b"a"), leaf_hash(b"b")]
    assert leaf_hash(two[0] + two[1]) != root(two)


def test_there_is_no_proof_of_a_leaf_that_is_not_there():
    for index in (-1, 2):
        with pytest.raises(IndexError):
            proof([leaf_hash(b"a"), leaf_hash(b"b")], index)
