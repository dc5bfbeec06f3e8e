"""Several gateways on one SQLite file: killed, locked out, out of disk space. Who was answered is counted, once."""

import sqlite3
import subprocess
import time
from contextlib import closing

import pytest
from fault_director import Director, Witness, killed_gateway, locked_file
from fault_fleet import within
from fault_verdict import Verdict, drain, summary

from guard.cli.demo_scene.process import DidNotStart
from guard.usage.address import sqlite_url

pytestmark = [pytest.mark.slow, pytest.mark.faults]


class Disk:
    """A file system of 8 MiB in memory, which a test may fill up and write-protect."""

    def __init__(self, path):
        self.path = path
        self.filler = path / "filler"

    def remount(self, mode):
        subprocess.run(["mount", "-o", f"remount,{mode}", self.path], check=True)

    def fill(self):
        """Take all the room that is left."""
        with self.filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:  # no space left on device
                    continue

    def free(self):
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs to mount a file system, as root: {mounted.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


def test_kills_and_locks_lose_nobody(fleet, tmp_path, seed):
    began, path = time.monotonic(), tmp_path / "ledger.db"
    url = sqlite_url(path)
    fleet.add_gateways(3, url)
    director = Director(fleet, seed, [killed_gateway, locked_file(path, (0, 8))], pace=(0.3, 2.0))
    with Witness(fleet) as witness:
        notes = fleet.load(10_000, seed, callers=16, pause=0.03)
        director.run()
    drain(fleet, url)
    verdict = Verdict(url, fleet.key, notes)
    summary(seed, began, verdict, director)
    verdict.check()
    assert min(director.happened["gateways killed"], director.happened["ledger locked"]) > 0, director.story
    assert witness.errors == []
    assert not witness.seen["unready"], "a ledger that is locked does not keep a gateway from serving"


def test_a_gateway_serves_while_its_ledger_is_locked_and_does_not_start_on_a_read_only_one(fleet, disk):
    path = disk.path / "ledger.db"
    url = sqlite_url(path)
    (gateway,) = fleet.add_gateways(1, url)
    assert {gateway.ask(f"user-{number}") for number in range(10)} == {200}
    drain(fleet, url)

    with closing(sqlite3.connect(path, isolation_level=None)) as locking:
        locking.execute("BEGIN IMMEDIATE")
        assert {gateway.ask(f"user-{number}") for number in range(10, 30)} == {200}
        within(30, lambda: gateway.metrics()["guard_mau_ledger_up"] == 0, gateway.metrics)
        status, facts = gateway.ready()
        assert (status, facts["parts"]["ledger"], facts["parts"]["spool"]) == (200, "down", "ok")
        assert gateway.metrics()["guard_mau_spool_records"] == 20
        gateway.kill()

    disk.remount("ro")
    gateway.start()
    with pytest.raises(DidNotStart) as refused:
        gateway.wait_ready()
    assert refused.value.code == 69
    assert f"ledger {path}: " in str(refused.value)
    assert "a ledger of Guard on a writable local disk" in str(refused.value)

    disk.remount("rw")
    gateway.start()
    gateway.wait_ready()
    drain(fleet, url)
    assert gateway.users == 30, "what was in the spool when it was killed is counted"


@pytest.mark.parametrize("disk_full", ["refuse", "serve"])
def test_a_full_disk_loses_nobody(fleet, disk, seed, disk_full):
    began = time.monotonic()
    url = sqlite_url(disk.path / "ledger.db")
    gateways = fleet.add_gateways(2, url, state=disk.path, usage={"disk_full": disk_full})
    unspoolable = {"guard_mau_spool_writable": 0, "guard_mau_unspooled_sightings": disk_full == "serve"}
    with Witness(fleet) as witness:
        notes = fleet.load(2_500, seed, callers=8, pause=0.03)
        within(30, lambda: notes.reached > 300, lambda: notes.reached)
        full = time.monotonic()
        while time.monotonic() < full + 30:
            disk.fill()  # again and again: segments that are deleted make room
            told = [gateway.metrics() for gateway in gateways]
            if all(min(each[name], 1) == said for each in told for name, said in unspoolable.items()):
                break
            time.sleep(0.02)
        else:
            pytest.fail(f"a full disk, and nobody says so: {told}")
        ready = [gateway.ready() for gateway in gateways]
        time.sleep(1)
        disk.free()
        within(30, lambda: all(each.metrics()["guard_mau_spool_writable"] for each in gateways), lambda: None)
        within(60, lambda: not fleet.loading, lambda: notes.reached)
    drain(fleet, url)
    verdict = Verdict(url, fleet.key, notes)
    summary(seed, began, verdict, failed=len(verdict.failed))
    verdict.check()
    for status, facts in ready:
        assert status == (503 if disk_full == "refuse" else 200)
        spool = facts["parts"]["spool"]
        assert "No space left on device" in spool or "bytes written: disk full" in spool
    assert witness.errors == []
    assert not verdict.unknown, "nobody was killed: who was not answered got a refusal"
    if disk_full == "refuse":
        assert verdict.failed, "the disk was never full enough to refuse anybody: this test tested nothing"
        assert len(verdict.counted) == len(verdict.answered) < len(verdict.tried)
    else:
        assert not verdict.failed
        assert len(verdict.counted) == len(verdict.answered) == len(verdict.tried)
