"""The ledger in Redis over every way to reach one, and whatever befalls the server: nothing lost, nothing double."""

import logging
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from redis_world import *  # noqa: F403  (fixtures)
from redis_world import cluster_url, free_port, start_cluster, wait_for

from guard.usage.address import LedgerAbsent
from guard.usage.counter import UsageCounter
from guard.usage.ledger import LedgerError, LedgerMismatch, LedgerUnavailable, Scope
from guard.usage.period import Calendar
from guard.usage.spool import Spool
from guard.usage.stores.redis_script import CLAIM

pytestmark = pytest.mark.slow
SCOPE, BEFORE = Scope("2026-11", "qwen"), Scope("2026-10", "qwen")
DAY = "2026-11-22"


def put(ledger, users, *, scope=SCOPE, owner="gateway-1", day=DAY, unidentified=None):
    return ledger.write({scope: users}, {} if unidentified is None else {scope: unidentified}, owner=owner, day=day)[
        scope
    ]


def fails(call, what, kind=LedgerUnavailable):
    with pytest.raises(kind) as raised:
        call()
    assert what in str(raised.value)
    return str(raised.value)


def random_users(count, seed=0):
    import random

    rng = random.Random(seed)
    return [rng.getrandbits(64) - 2**63 for _ in range(count)]


# Ways to reach it


def test_over_a_socket_and_a_database_of_its_own(start, opened):
    server = start()
    put(opened(server.unix_url + "?db=3"), [1, 2])
    assert server.client(db=3).dbsize() > 0
    assert server.client().dbsize() == 0
    assert opened(f"redis://127.0.0.1:{server.port}/3").users(SCOPE) == 2


def test_two_prefixes_are_two_ledgers(start, opened):
    server = start()
    put(opened(server.url(query="prefix=a")), [1])
    put(opened(server.url(query="prefix=b")), [1, 2])
    assert opened(server.url(query="prefix=a")).users(SCOPE) == 1


def test_with_a_password_however_it_is_given(start, opened, tmp_path, monkeypatch):
    server = start("--requirepass", "s3cr/t", login={"password": "s3cr/t"})
    (tmp_path / "pw").write_text("s3cr/t\n")
    monkeypatch.setenv("GUARD_TEST_PW", "s3cr/t")
    for how in (
        {"login": ":s3cr%2Ft@"},
        {"query": f"password_file={tmp_path}/pw"},
        {"query": "password_env=GUARD_TEST_PW"},
    ):
        assert put(opened(server.url(**how)), [1]).totals.users == 1
    fails(lambda: opened(server.url()), "password", LedgerError)
    message = fails(lambda: opened(server.url(login=":wr0ng@")), "it refuses the user or the password", LedgerError)
    assert "wr0ng" not in message


def test_a_rotated_password_is_read_again(start, opened, tmp_path):
    server = start("--requirepass", "old", login={"password": "old"})
    path = tmp_path / "pw"
    path.write_text("old")
    ledger = opened(server.url(query=f"password_file={path}"))
    put(ledger, [1])
    path.write_text("new")
    server.do("CONFIG SET", "requirepass", "new")
    server.login = {"password": "new"}
    server.do("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
    assert put(ledger, [1, 2]).totals.users == 2


ACL = "+@read +@write +@scripting +@connection +info +time"


def test_a_user_of_the_documented_rights_is_enough(start, opened):
    server = start()
    server.do("ACL", "SETUSER", "guard", "on", ">pw", "~guard:*", "resetchannels", "-@all", *ACL.split())
    ledger = opened(server.url(login="guard:pw@"))
    assert ledger.survives_power_loss is False  # it may not see the configuration
    ledger.bind("UTC")
    put(ledger, [1, 2], scope=BEFORE)
    assert put(ledger, [1, 2, 3], unidentified=4).totals.users == 3
    assert ledger.claim(SCOPE, "gateway-1", need=2, extra=0, allowed=5, now=0).granted == 2
    ledger.merge(Scope("2026-11-22/30d", "qwen"), [SCOPE])
    assert sorted(user for page in ledger.pseudonyms(SCOPE) for user in page) == [1, 2, 3]
    ledger.forget(BEFORE)
    assert ledger.incarnation()
    other = opened(server.url("redis+hll", login="guard:pw@", query="prefix=guard:hll"))
    put(other, [1, 2])
    assert other.users(SCOPE) == 2
    fails(lambda: opened(server.url(login="guard:pw@", query="prefix=other")), "its user may not do that", LedgerError)
    server.do("ACL", "SETUSER", "guard", "-time")
    fails(lambda: ledger.claim(SCOPE, "x", need=1, extra=0, allowed=9, now=0), "its user may not do that", LedgerError)


def test_without_info_there_is_no_telling_a_fail_over(start, opened):
    server = start()
    server.do("ACL", "SETUSER", "guard", "on", ">pw", "~*", "+@all", "-info")
    fails(lambda: opened(server.url(login="guard:pw@")), "+info", LedgerError)


def certificate(folder, name, issuer=None):
    """Write ``name``.pem and ``name``.key, by ``issuer`` (certificate, key) or itself; returns both."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer[1] if issuer else key).public_key()),
            critical=False,
        )
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return built, key


@pytest.fixture
def papers(tmp_path):
    authority = certificate(tmp_path, "ca")
    for name in ("server", "client"):
        certificate(tmp_path, name, authority)
    certificate(tmp_path, "stranger")
    return tmp_path


def test_over_tls_with_certificates_of_both_sides(start, opened, papers):
    server = start("--tls-cert-file", f"{papers}/server.pem", "--tls-key-file", f"{papers}/server.key",
                   "--tls-ca-cert-file", f"{papers}/ca.pem", "--tls-auth-clients", "yes", tls=True)  # fmt: skip
    mine = f"cert={papers}/client.pem&key={papers}/client.key"
    assert put(opened(server.url("rediss", f"ca={papers}/ca.pem&{mine}")), [1]).totals.users == 1
    for query in (f"ca={papers}/stranger.pem&{mine}", mine):
        with pytest.raises(LedgerUnavailable, match="certificate verify failed"):
            opened(server.url("rediss", query), read_only=True)
    with pytest.raises(LedgerUnavailable):
        opened(server.url("rediss", f"ca={papers}/ca.pem"), read_only=True)
    with pytest.raises(LedgerUnavailable):
        opened(server.url("redis"), read_only=True)


# What it makes of what it finds


def test_what_may_be_evicted_is_no_ledger(start, opened):
    server = start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    fails(lambda: opened(server.url()), "maxmemory-policy is allkeys-lru", LedgerError)
    assert server.client().dbsize() == 0
    server.do("CONFIG SET", "maxmemory-policy", "noeviction")
    opened(server.url())
    server.do("CONFIG SET", "maxmemory-policy", "volatile-ttl")
    fails(lambda: opened(server.url()), "volatile-ttl", LedgerError)
    server.do("CONFIG SET", "maxmemory", "0")
    opened(server.url())


@pytest.mark.parametrize(("words", "survives"), [
    ((), False), (("--appendonly", "yes"), False), (("--appendonly", "yes", "--appendfsync", "always"), True),
])  # fmt: skip
def test_what_survives_a_power_cut_is_asked(start, opened, words, survives):
    assert opened(start(*words).url()).survives_power_loss is survives


def test_a_prefix_of_something_else_is_refused(start, opened):
    server = start()
    server.client().set("guard:{meta}", "x")
    fails(lambda: opened(server.url()), "of another type", LedgerError)
    server.client().delete("guard:{meta}")
    server.client().hset("guard:{meta}", "name", "x")
    fails(lambda: opened(server.url()), "used by something else", LedgerError)
    assert server.client().hgetall("guard:{meta}") == {"name": "x"}


def test_another_schema_or_kind_is_refused(start, opened):
    server = start()
    opened(server.url())
    fails(lambda: opened(server.url("redis+hll")), "'1 exact', not '1 hll 256'", LedgerMismatch)
    opened(server.url("redis+hll", "prefix=h&shards=16"))
    fails(lambda: opened(server.url("redis+hll", "prefix=h")), "'1 hll 16', not '1 hll 256'", LedgerMismatch)
    server.client().hset("guard:{meta}", "schema", "2 exact")
    fails(lambda: opened(server.url()), "'2 exact', not '1 exact'", LedgerMismatch)


def test_reading_creates_nothing(start, opened):
    server = start()
    fails(lambda: opened(server.url(), read_only=True), "nothing was counted", LedgerAbsent)
    assert server.client().dbsize() == 0
    put(opened(server.url()), [1])
    before = sorted(server.client().keys())
    reader = opened(server.url(), read_only=True)
    assert (reader.users(SCOPE), reader.users(BEFORE), reader.contains(BEFORE, 1)) == (1, 0, False)
    assert reader.growth("qwen", "2026-12") == list(reader.pseudonyms(BEFORE)) == []
    assert reader.incarnation()
    assert sorted(server.client().keys()) == before


def test_a_key_of_another_type_among_the_sets_loses_no_count(start, opened):
    server = start()
    ledger = opened(server.url(query="users=25600"))  # one set in each group
    put(ledger, [1])
    users = random_users(300)
    for group in range(5):
        key = f"guard:{{{group}}}:2026-11:u0:qwen"
        server.client().delete(key)
        server.client().set(key, "x")
    fails(lambda: put(ledger, users), "of another type", LedgerError)
    sets = [key for key in server.client().scan_iter("guard:*:u0:*") if server.client().type(key) == "set"]
    assert ledger.users(SCOPE) == sum(map(server.client().scard, sets))


# Faults


def test_killed_and_restarted_with_its_data_it_goes_on(start, opened):
    server = start("--appendonly", "yes", "--appendfsync", "everysec")
    ledger = opened(server.url())
    put(ledger, range(100), unidentified=5)
    first = ledger.incarnation()
    server.kill()
    for call in (lambda: put(ledger, [1]), ledger.incarnation, ledger.periods, lambda: ledger.users(SCOPE)):
        fails(call, "cannot be reached")
    server.start()
    assert put(ledger, range(50, 150), unidentified=5).totals[:2] == (150, 5)
    assert ledger.incarnation() != first
    assert ledger.incarnation().split()[0] == first.split()[0]


def test_restarted_empty_it_takes_everything_once_more(start, opened):
    server = start()
    ledgers = [opened(server.url()), opened(server.url(query="users=1000"))]
    for ledger in ledgers:
        ledger.bind("UTC")
        ledger.claim_key("2026-11", "00112233aabbccdd")
        put(ledger, range(1000), unidentified=5)
    first = ledgers[0].incarnation()
    server.kill()
    server.start()
    assert put(ledgers[1], range(500)).totals[:2] == (500, 0)  # and with other numbers of sets than before
    found = {ledger.incarnation() for ledger in ledgers}
    assert len(found) == 1
    assert found.pop().split()[0] != first.split()[0]
    assert ledgers[0].zone() is ledgers[0].key_of("2026-11") is None
    for ledger in ledgers:
        ledger.bind("UTC")
        ledger.claim_key("2026-11", "00112233aabbccdd")
        assert put(ledger, range(1000), unidentified=5).totals[:2] == (1000, 5)
        assert sorted(user for page in ledger.pseudonyms(SCOPE) for user in page) == list(range(1000))


def test_emptied_while_it_runs_it_is_another_incarnation(start, opened):
    server = start()
    ledger = opened(server.url())
    put(ledger, [1])
    first = ledger.incarnation()
    server.do("FLUSHALL")
    assert ledger.incarnation() != first
    assert put(ledger, [1]).totals.users == 1
    assert ledger.incarnation() == opened(server.url()).incarnation()


def test_whoever_notes_something_first_in_an_emptied_server_founds_the_ledger_anew(start, opened):
    server = start()
    ledger = opened(server.url())
    put(ledger, [1])
    server.do("FLUSHALL")
    ledger.bind("UTC")
    assert opened(server.url()).zone() == "UTC"
    assert ledger.incarnation()


def test_a_gateway_may_start_before_redis(start, opened, tmp_path):
    port = free_port()
    ledger = opened(f"redis://127.0.0.1:{port}/0")
    fails(lambda: ledger.bind("UTC"), "cannot be reached")
    with pytest.raises(LedgerUnavailable):
        opened(f"redis://127.0.0.1:{port}/0", read_only=True)
    server = start("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lfu", port=port)
    fails(lambda: put(ledger, [1]), "allkeys-lfu", LedgerError)
    server.do("CONFIG SET", "maxmemory-policy", "noeviction")
    assert put(ledger, [1]).totals.users == 1


def test_a_slow_server_is_not_waited_for(start, opened):
    server = start()
    ledger = opened(server.url(query="timeout=0.3"))
    put(ledger, [1])
    pause = server.client()
    pause.client_pause(1500, all=True)
    fails(lambda: put(ledger, [1, 2, 3]), "no answer in time")
    fails(lambda: ledger.users(SCOPE), "no answer in time")
    wait_for(pause.ping)
    assert put(ledger, [1, 2, 3]).totals.users == 3
    assert sum(day.new for day in ledger.growth("qwen", "2026-11")) == 3


def test_a_full_server_says_so_and_goes_on_when_it_has_room(start, opened):
    server = start()
    ledger = opened(server.url())
    put(ledger, range(100))
    server.do("CONFIG SET", "maxmemory", "1")
    fails(lambda: put(ledger, range(200)), "it is full (maxmemory)")
    fails(lambda: ledger.claim(SCOPE, "gateway-1", need=1, extra=0, allowed=1000, now=0), "it is full")
    assert ledger.users(SCOPE) == 100
    server.do("CONFIG SET", "maxmemory", "0")
    assert put(ledger, range(200)).totals.users == 200
    assert sum(day.new for day in ledger.growth("qwen", "2026-11")) == 200


def test_a_replica_says_what_to_do(start, opened):
    master, server = start(), start()
    ledger = opened(server.url())
    put(ledger, [1])
    put(opened(master.url()), [1])
    server.do("REPLICAOF", "127.0.0.1", str(master.port))
    wait_for(lambda: server.client().info("replication")["master_link_status"] == "up")
    fails(lambda: put(ledger, [1, 2]), "it is a replica")
    assert ledger.users(SCOPE) == 1
    server.do("REPLICAOF", "NO", "ONE")
    assert put(ledger, [1, 2]).totals.users == 2


@pytest.mark.parametrize("trouble", ["full", "replica"])
def test_a_gateway_says_that_its_ledger_takes_nothing_although_it_can_be_read(trouble, start, opened, tmp_path):
    server, master = start(), start()
    spool = Spool(tmp_path, lambda month: "f" * 16, keep=True)
    counter = UsageCounter(opened(server.url()), spool, Calendar())
    counter.start()
    counter.sight(("qwen",), 1, time.time())
    wait_for(lambda: not counter.spool_records)
    assert counter.ledger_up
    if trouble == "full":
        server.do("CONFIG SET", "maxmemory", "1")
    else:
        put(opened(master.url()), [1])
        server.do("REPLICAOF", "127.0.0.1", str(master.port))
        wait_for(lambda: server.client().info("replication")["master_link_status"] == "up")
    counter.sight(("qwen",), 2, time.time())
    wait_for(lambda: not counter.ledger_up)
    until = time.monotonic() + 2
    while time.monotonic() < until:  # rounds that read go on meanwhile
        assert not counter.ledger_up
        time.sleep(0.002)
    if trouble == "full":
        server.do("CONFIG SET", "maxmemory", "0")
    else:
        server.do("REPLICAOF", "NO", "ONE")
    wait_for(lambda: counter.ledger_up)
    wait_for(lambda: not counter.spool_records)
    assert counter.stop(10)


def test_forgotten_scripts_are_sent_again(start, opened):
    server = start()
    ledger = opened(server.url())
    put(ledger, range(10))
    server.do("SCRIPT FLUSH")
    again = put(ledger, range(20))
    assert (again.new, again.totals.users) == (10, 20)
    server.do("SCRIPT FLUSH")
    assert ledger.users(SCOPE) == 20


def test_connections_that_were_cut_are_made_anew(start, opened):
    server = start()
    ledger = opened(server.url())
    for users in range(1, 6):
        server.do("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
        assert put(ledger, range(users)).totals.users == users


SENTINEL = """port {port}
unixsocket {folder}/sentinel.sock
dir {folder}
bind 127.0.0.1
protected-mode no
requirepass w4tch
sentinel monitor mymaster 127.0.0.1 {master} 1
sentinel auth-pass mymaster pw
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 3000
"""


def test_after_a_fail_over_it_writes_to_the_new_master(start, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("GUARD_TEST_SENTINEL", "w4tch")
    secret = ("--requirepass", "pw", "--masterauth", "pw")
    master = start(*secret, login={"password": "pw"})
    replica = start(*secret, "--replicaof", f"127.0.0.1 {master.port}", login={"password": "pw"})
    wait_for(lambda: replica.client().info("replication")["master_link_status"] == "up")
    port = free_port()
    (tmp_path / "sentinel.conf").write_text(SENTINEL.format(port=port, folder=tmp_path, master=master.port))
    sentinel = start(
        folder=tmp_path, name="sentinel", port=port, login={"password": "w4tch"}, sentinel=tmp_path / "sentinel.conf"
    )
    url = f"redis+sentinel://:pw@127.0.0.1:{free_port()},127.0.0.1:{port}/mymaster/0?sentinel_password_env=GUARD_TEST_SENTINEL"
    ledger = opened(url)
    put(ledger, range(100))
    first = ledger.incarnation()
    wait_for(lambda: len(sentinel.client().sentinel_slaves("mymaster")) == 1)
    wait_for(lambda: replica.client().dbsize() == master.client().dbsize())
    master.kill()
    assert wait_for(lambda: reached(lambda: put(ledger, range(50, 150)))).totals.users >= 100
    assert put(ledger, range(150)).totals.users == 150
    assert ledger.incarnation().split()[0] == first.split()[0]
    assert ledger.incarnation() != first
    assert replica.client().info("replication")["role"] == "master"
    with pytest.raises(LedgerUnavailable):
        opened(url.replace("/mymaster/", "/nobody/"), read_only=True)


def reached(call):
    """What ``call`` returns, None while the ledger is away."""
    try:
        return call()
    except LedgerUnavailable:
        return None


def test_a_cluster_that_lost_a_node_goes_on_when_it_is_back(opened, tmp_path_factory):
    nodes = start_cluster(tmp_path_factory.mktemp("c"))
    try:
        ledger = opened(cluster_url(nodes))
        users = random_users(2000)
        put(ledger, users, unidentified=3)
        first = ledger.incarnation()
        assert len(first.split()) == 4
        assert all(node.client().dbsize() > 100 for node in nodes)
        nodes[1].kill()
        with pytest.raises(LedgerUnavailable):
            put(ledger, random_users(2000, seed=1))
        nodes[1].start()  # without its data
        wait_for(lambda: all(node.do("CLUSTER INFO")["cluster_state"] == "ok" for node in nodes))
        assert wait_for(lambda: reached(ledger.incarnation)) != first
        for scope in (users, random_users(2000, seed=1)):
            put(ledger, scope, unidentified=3)
        assert ledger.totals("2026-11")["qwen"].users == 4000
        assert sorted(user for page in ledger.pseudonyms(SCOPE) for user in page) == sorted(
            users + random_users(2000, seed=1)
        )
    finally:
        for node in nodes:
            node.kill()


def test_a_cluster_node_that_hangs_is_not_waited_for_with_every_command(opened, tmp_path_factory):
    nodes = start_cluster(tmp_path_factory.mktemp("c"))
    try:
        ledger = opened(cluster_url(nodes, query="timeout=0.3"))
        users = random_users(2000)
        put(ledger, users)
        nodes[2].process.send_signal(signal.SIGSTOP)
        for call in (lambda: put(ledger, users), ledger.incarnation, lambda: ledger.totals("2026-11")):
            with pytest.raises(LedgerUnavailable):
                call()
        nodes[2].process.send_signal(signal.SIGCONT)
        assert wait_for(lambda: reached(lambda: put(ledger, users))).totals.users == 2000
    finally:
        nodes[2].process.send_signal(signal.SIGCONT)
        for node in nodes:
            node.kill()


def test_a_cluster_wants_one_right_more(opened, shared_cluster):
    for node in shared_cluster:
        node.do("ACL", "SETUSER", "guard", "on", ">pw", "~guard:*", "resetchannels", "-@all", *ACL.split(), "+cluster")
    url = cluster_url(shared_cluster).replace("://", "://guard:pw@")
    assert put(opened(url), [1, 2]).totals.users == 2


def test_a_slot_that_moves_to_another_node_is_followed(opened, tmp_path_factory):
    nodes = start_cluster(tmp_path_factory.mktemp("c"))
    try:
        ledger = opened(cluster_url(nodes))
        put(ledger, random_users(2000))
        source = next(node for node in nodes if node.client().dbsize())
        target = next(node for node in nodes if node is not source)
        subprocess.run(
            ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{source.port}", "--cluster-from", source.do("CLUSTER MYID"),
             "--cluster-to", target.do("CLUSTER MYID"), "--cluster-slots", "4000", "--cluster-yes"],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        both = random_users(2000) + random_users(500, seed=1)
        assert put(ledger, both).totals.users == 2500
        assert sum(len(page) for page in ledger.pseudonyms(SCOPE)) == 2500
    finally:
        for node in nodes:
            node.kill()


def test_the_wrong_topology_is_named(start, opened, shared_cluster):
    fails(lambda: opened(start().url("redis+cluster").removesuffix("/0")), "no cluster; allowed: redis://", LedgerError)
    fails(lambda: [opened(node.url()) for node in shared_cluster], "allowed: redis+cluster://", LedgerError)


# Layout


def sets_of(server, scope=SCOPE, prefix="guard"):
    client = server.client()
    return {int(client.hget(f"{prefix}:{{{g}}}:{scope.period}", f"k {scope.license}") or 0) for g in range(64)}


def test_processes_of_different_opinions_agree_on_the_number_of_sets(start, opened):
    server = start()
    urls = [server.url(query=query) for query in ("users=1000000", "users=50000000", "users=7", "")]
    ledgers = [opened(url) for url in urls]
    users = random_users(3000)
    barrier = threading.Barrier(len(ledgers))

    def work(ledger):
        barrier.wait()
        return [put(ledger, users[at : at + 100]).new for at in range(0, 3000, 100)]

    with ThreadPoolExecutor(len(ledgers)) as pool:
        new = [sum(counts) for counts in pool.map(work, ledgers)]
    assert sum(new) == 3000
    assert sets_of(server) <= {40, 1954, 1, 1024}
    for ledger in ledgers:
        assert ledger.users(SCOPE) == 3000
        assert sorted(user for page in ledger.pseudonyms(SCOPE) for user in page) == sorted(users)
        assert all(ledger.contains(SCOPE, user) for user in users[:200])


def test_a_month_after_a_large_one_has_more_sets(start, opened):
    server = start()
    ledger = opened(server.url(query="users=25600"))
    users = random_users(60_000)
    put(ledger, users, scope=BEFORE)
    assert sets_of(server, BEFORE) == {1}
    assert put(ledger, users).totals.users == 60_000
    assert sets_of(server) <= set(range(2, 6))
    assert [(day.new, day.returning) for day in ledger.growth("qwen", "2026-11")] == [(0, 60_000)]


def test_days_and_windows_have_sets_of_their_own(start, opened):
    server = start()
    ledger = opened(server.url(query="users=100000"))
    scopes = [SCOPE, Scope(DAY, "qwen"), Scope(f"{DAY}/30d", "qwen")]
    users = random_users(500)
    ledger.write(dict.fromkeys(scopes, users), {}, owner="gateway-1", day=DAY)
    for scope in scopes:
        assert sets_of(server, scope) == {4}
        assert ledger.users(scope) == 500


def test_merging_scopes_of_different_numbers_of_sets(start, opened):
    server = start()
    small, large = opened(server.url(query="users=1000")), opened(server.url(query="users=500000"))
    days = [Scope(f"2026-11-{day}", "qwen") for day in (20, 21, 22)]
    users = random_users(3000)
    for day, ledger, some in zip(
        days, (small, large, small), (users[:1500], users[1000:2500], users[2000:]), strict=True
    ):
        put(ledger, some, scope=day, day=None)
    window = Scope("2026-11-22/28d", "qwen")
    for _ in range(2):
        large.merge(window, days)
        assert large.users(window) == 3000
    assert sorted(user for page in small.pseudonyms(window) for user in page) == sorted(users)


def test_a_merge_that_was_cut_short_is_finished_by_the_next(start, opened):
    server = start()
    ledger = opened(server.url(query="users=100000"))
    day, window = Scope(DAY, "qwen"), Scope(f"{DAY}/30d", "qwen")
    users = random_users(2000)
    put(ledger, users, scope=day, unidentified=7)
    ledger.merge(window, [day])
    server.client().delete("guard:{meta}:merged:2026-11-22/30d:qwen")  # as if it had not come to that
    for group in range(10):
        server.client().delete(
            f"guard:{{{group}}}:2026-11-22/30d", *server.client().keys(f"guard:{{{group}}}:2026-11-22/30d:*")
        )
    assert ledger.users(window) < 2000
    opened(server.url()).merge(window, [day])
    assert ledger.totals(window.period)["qwen"][:2] == (2000, 7)


def test_forgetting_frees_the_memory_and_is_cheap_to_repeat(start, opened):
    server = start()
    ledger = opened(server.url(query="users=100000"))
    put(ledger, random_users(50_000))
    full = server.client().info("memory")["used_memory"]
    ledger.forget(SCOPE)
    wait_for(lambda: server.client().info("memory")["used_memory"] < full - 200_000)
    assert not list(server.client().scan_iter("guard:*:u*:qwen"))
    server.do("CONFIG RESETSTAT")
    opened(server.url()).forget(SCOPE)
    assert "cmdstat_unlink" not in server.client().info("commandstats")
    assert ledger.users(SCOPE) == 50_000


def test_a_user_takes_nine_bytes(start, opened):
    server = start()
    count = 1_000_000
    ledger = opened(server.url(query=f"users={count}"))
    put(ledger, [0])
    before = server.client().info("memory")["used_memory"]
    for seed in range(count // 50_000):
        put(ledger, random_users(50_000, seed=seed))
    after = server.client().info("memory")["used_memory"]
    assert ledger.users(SCOPE) == count + 1
    assert (after - before) / count <= 9.5
    keys = [f"guard:{{{group}}}:2026-11:u{number}:qwen" for group in range(0, 64, 9) for number in range(40)]
    assert {server.client().object("encoding", key) for key in keys if server.client().exists(key)} == {"intset"}


CLAIMER = """
import sys
from guard.usage.address import open_ledger
from guard.usage.ledger import Scope
url, number, allowed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ledger, scope, added, held = open_ledger(url), Scope("2026-11", "qwen"), 0, 0
print("ready", flush=True)
sys.stdin.readline()
while held or (held := ledger.claim(scope, str(number), need=3, extra=50, allowed=allowed, now=0).granted):
    part = max(1, held // 2)  # some are written, some are still places when it claims again
    ledger.write({scope: [number * 10**6 + added + each for each in range(part)]}, {}, owner=str(number), day=None)
    added, held = added + part, held - part
    held = ledger.claim(scope, str(number), need=max(held, 3), extra=50, allowed=allowed, now=0).granted
print(added)
"""


@pytest.mark.parametrize("where", ["server", "cluster"])
def test_processes_that_claim_at_once_never_exceed_the_limit(where, request, opened):
    allowed = 5000
    if where == "server":
        url = request.getfixturevalue("shared_server").url(query="prefix=claims")
    else:
        url = cluster_url(request.getfixturevalue("shared_cluster"), query="prefix=claims")
    ledger = opened(url)
    claimers = [
        subprocess.Popen([sys.executable, "-c", CLAIMER, url, str(number), str(allowed)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True) for number in range(4)
    ]  # fmt: skip
    try:
        for claimer in claimers:
            assert claimer.stdout.readline() == "ready\n"
        for claimer in claimers:
            claimer.stdin.write("\n")
            claimer.stdin.flush()
        seen = []
        while any(claimer.poll() is None for claimer in claimers):
            seen.append(ledger.users(SCOPE))
            time.sleep(0.02)
        added = [int(claimer.communicate()[0]) for claimer in claimers]
    finally:
        for claimer in claimers:
            claimer.kill()
            claimer.wait()
    assert seen == sorted(seen)
    assert ledger.users(SCOPE) == sum(added)
    assert allowed - 20 <= sum(added) <= allowed  # three who give up for want of three places may leave a few
    assert max(added) < sum(added)


def test_a_count_that_was_read_before_others_wrote_grants_nothing_too_much(shared_server, opened):
    url = shared_server.url(query="prefix=floor")
    one, other = opened(url), opened(url)
    assert one.claim(SCOPE, "one", need=100, extra=0, allowed=100, now=0).granted == 100
    late = other.users  # what the other read before
    other.users = lambda scope: 0
    put(one, range(100))
    assert one.claim(SCOPE, "one", need=0, extra=0, allowed=100, now=0).users == 100
    assert other.claim(SCOPE, "other", need=10, extra=10, allowed=100, now=0) == (0, 100)
    other.users = late
    assert other.users(SCOPE) == 100


def test_a_claim_that_arrives_late_changes_nothing(shared_server, opened, monkeypatch):
    url = shared_server.url(query="prefix=late")
    one, other = opened(url), opened(url)
    held_up = []
    ask = one.ask

    def lose(commands):
        commands = list(commands)
        if commands[0].script is not CLAIM:
            return ask(commands)
        held_up.append(commands)
        return [[0, 0]]

    monkeypatch.setattr(one, "ask", lose)
    one.claim(SCOPE, "one", need=5, extra=0, allowed=20, now=0)  # on its way, and given up
    monkeypatch.undo()
    assert one.claim(SCOPE, "one", need=13, extra=0, allowed=20, now=0).granted == 13
    assert ask(held_up[0]) == [[13, 0]]
    assert other.claim(SCOPE, "other", need=20, extra=0, allowed=20, now=0).granted == 7
    assert one.claim(SCOPE, "one", need=0, extra=0, allowed=20, now=0).granted == 0
    assert ask(held_up[0]) == [[0, 0]], "nor does it bring back places that were given back"


def test_leases_end_by_the_clock_of_the_server(shared_server, opened):
    ledger = opened(shared_server.url(query="prefix=leases"))
    assert ledger.claim(SCOPE, "one", need=60, extra=0, allowed=100, now=0).granted == 60
    key = "leases:{meta}:claims:2026-11:qwen"
    assert 3600 < shared_server.client().ttl(key) <= 7200
    until = int(shared_server.client().hget(key, "o one").split()[1])
    assert abs(until / 1000 - time.time() - 3600) < 60
    shared_server.client().hset(key, "o one", f"60 {int(time.time() * 1000) - 1} 1")
    assert ledger.claim(SCOPE, "two", need=100, extra=0, allowed=100, now=0).granted == 100


def test_no_password_is_in_a_log(start, opened, caplog):
    caplog.set_level(logging.DEBUG)
    server = start("--requirepass", "hunter2", login={"password": "hunter2"})
    ledger = opened(server.url(login=":hunter2@"))
    put(ledger, [1])
    server.kill()
    assert "hunter2" not in fails(lambda: put(ledger, [1]), "cannot be reached")
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(ledger.place)


def test_without_redis_server_the_tests_say_what_to_install(start, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.fail.Exception, match="install Debian's redis-server"):
        start()
