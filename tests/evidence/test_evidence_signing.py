"""One key signs for all processes of a state directory; it can be replaced under them, and what it signed stays valid."""

import json
import multiprocessing
import os
import stat
from base64 import b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from evidence_clock import Clock

from guard.evidence.signing import PRIVATE, PUBLIC, Signer, SigningError, Verifier, holds, key_id, listed, rotate

NOW = 1_795_000_000.0


@pytest.fixture
def signer(tmp_path):
    return Signer(tmp_path / "signing", Clock(NOW))


def test_the_first_signer_makes_a_key_that_only_its_owner_reads(signer, tmp_path):
    signed = signer.sign(b"what was said")
    assert holds(signed.public, b"what was said", signed.value)
    assert not holds(signed.public, b"what was not", signed.value)
    assert signed.key == sha256(signed.public).hexdigest()[:16] == signer.id
    assert stat.S_IMODE((tmp_path / "signing" / PRIVATE).stat().st_mode) == 0o600
    assert json.loads((tmp_path / "signing" / PUBLIC).read_text()) == {
        "format": "guard-signing-keys/1",
        "keys": [
            {
                "id": signer.id,
                "public": b64encode(signer.public).decode(),
                "from": "2026-11-18T11:06:40Z",
                "until": None,
            }
        ],
    }


def test_the_next_signer_takes_the_same_key(signer, tmp_path):
    before = (tmp_path / "signing" / PUBLIC).read_bytes()
    assert Signer(tmp_path / "signing", Clock(NOW + 9)).id == signer.id
    assert (tmp_path / "signing" / PUBLIC).read_bytes() == before


def test_a_rotation_is_taken_up_by_a_signer_that_runs(signer, tmp_path):
    first, before = signer.id, signer.sign(b"before")
    new = rotate(tmp_path / "signing", NOW + 60)
    after = signer.sign(b"after")
    assert after.key == new.id != first
    old, current = listed(tmp_path / "signing" / PUBLIC)
    assert (old.id, old.begins, old.ends) == (first, NOW, NOW + 60)
    assert (current.id, current.begins, current.ends) == (new.id, NOW + 60, None)
    verifier = Verifier.of_list(tmp_path / "signing" / PUBLIC)
    for text, signed in ((b"before", before), (b"after", after)):
        assert holds(verifier.key(signed.key).public, text, signed.value)


def test_a_rotation_that_was_killed_between_its_files_is_made_good(signer, tmp_path):
    directory = tmp_path / "signing"
    known = (directory / PUBLIC).read_bytes()
    new = rotate(directory, NOW + 60)
    (directory / PUBLIC).write_bytes(known)
    assert Signer(directory, Clock(NOW + 70)).id == new.id
    old, current = listed(directory / PUBLIC)
    assert (old.id, old.ends, current.id, current.ends) == (signer.id, NOW + 70, new.id, None)


def test_a_rotation_where_nothing_was_signed_yet_makes_the_first_key(tmp_path):
    key = rotate(tmp_path / "signing", NOW)
    assert [known.id for known in listed(tmp_path / "signing" / PUBLIC)] == [key.id]
    assert Signer(tmp_path / "signing").id == key.id


def test_a_key_file_that_is_damaged_under_a_running_signer_leaves_it_the_old_key(signer, tmp_path):
    path, first = tmp_path / "signing" / PRIVATE, signer.id
    path.write_bytes(b"what is this?")
    signed = signer.sign(b"text")
    assert signed.key == first
    assert holds(signed.public, b"text", signed.value)
    assert "no private Ed25519 key" in signer.error
    with pytest.raises(SigningError, match="no private Ed25519 key"):
        Signer(tmp_path / "signing")
    new = rotate_over(tmp_path / "signing")
    assert (signer.sign(b"text").key, signer.error) == (new.id, None)


def rotate_over(directory):
    (directory / PRIVATE).unlink()
    return rotate(directory, NOW + 5)


def test_a_key_of_another_kind_and_an_encrypted_one_are_refused(tmp_path):
    (tmp_path / PRIVATE).write_bytes(
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(SigningError, match="allowed: PEM"):
        Signer(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format":"guard-signing-keys/1","keys":[{"id":"a"}]}'])
def test_a_list_that_is_none_is_refused(content, tmp_path):
    (tmp_path / PUBLIC).write_bytes(content)
    with pytest.raises(SigningError, match="not a list of public keys"):
        Verifier.of_list(tmp_path / PUBLIC)


def test_a_listed_key_under_another_id_is_refused(signer, tmp_path):
    path = tmp_path / "signing" / PUBLIC
    path.write_text(path.read_text().replace(signer.id, "0" * 16))
    with pytest.raises(SigningError, match="not a list"):
        listed(path)


def test_a_verifier_takes_one_key_as_pem_or_base64(signer):
    key = Ed25519PrivateKey.generate().public_key()
    raw = key.public_bytes_raw()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (pem, b64encode(raw).decode(), b64encode(raw).decode() + "\n"):
        verifier = Verifier.of_key(text)
        assert verifier.key(key_id(raw)).pem == pem
        assert verifier.key(signer.id) is None
    for text in ("", "AAAA", pem.replace("PUBLIC", "PRIVATE")):
        with pytest.raises(SigningError, match="not an Ed25519 public key"):
            Verifier.of_key(text)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file to somebody else")
def test_keys_that_root_changes_belong_to_whoever_runs_the_gateway(tmp_path):
    directory = tmp_path / "signing"
    directory.mkdir()
    os.chown(directory, 1234, 1234)
    Signer(directory)
    rotate(directory, NOW)
    assert {path.stat().st_uid for path in directory.iterdir()} == {1234}
    assert len(list(directory.iterdir())) == 3


def _begin(directory, barrier, found):
    barrier.wait(20)
    found.put(Signer(directory).id)


@pytest.mark.slow
def test_processes_that_begin_at_once_get_the_same_key(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_begin, args=(tmp_path / "signing", barrier, found)) for _ in range(4)]
    for process in processes:
        process.start()
    ids = {found.get(timeout=30) for _ in processes}
    for process in processes:
        process.join(30)
    assert len(ids) == 1
    assert [key.id for key in listed(tmp_path / "signing" / PUBLIC)] == list(ids)
