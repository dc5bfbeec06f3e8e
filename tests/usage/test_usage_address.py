"""The URL of a ledger: what it may say, what it must not, and that no password gets out of it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.usage.address import LedgerAbsent, LedgerUrlError, Place, open_ledger, parse_url, shown, sqlite_url
from guard.usage.ledger import LedgerError
from guard.usage.redis_url import RedisPlace, Topology, is_redis

DEFAULTS = {
    "db": 0, "user": None, "password": None, "socket": None, "service": None, "tls": False, "exact": True,
    "prefix": "guard", "timeout": 2.0, "users": None, "shards": 256, "topology": Topology.SERVER,
}  # fmt: skip


@pytest.mark.parametrize(("url", "told"), [
    ("redis://h", {"hosts": (("h", 6379),)}),
    ("redis://h:7000/3", {"hosts": (("h", 7000),), "db": 3}),
    ("redis://h/", {"hosts": (("h", 6379),)}),
    ("redis://[::1]:7000/0", {"hosts": (("::1", 7000),)}),
    ("REDIS://h", {"hosts": (("h", 6379),)}),
    ("redis://guard:p%40ss%2Fw%3F%23@h", {"hosts": (("h", 6379),), "user": "guard", "password": "p@ss/w?#"}),
    ("redis://:pw@h", {"hosts": (("h", 6379),), "password": "pw"}),
    ("redis://guard@h?password_env=PW", {"hosts": (("h", 6379),), "user": "guard", "password_env": "PW"}),
    ("redis://h?password_file=/run/secrets/pw", {"hosts": (("h", 6379),), "password_file": "/run/secrets/pw"}),
    ("redis://h?prefix=guard:eu-1&timeout=0.5&users=700000000",
     {"hosts": (("h", 6379),), "prefix": "guard:eu-1", "timeout": 0.5, "users": 700_000_000}),
    ("rediss://h?ca=/c.pem&cert=/d.pem&key=/k.pem",
     {"hosts": (("h", 6379),), "tls": True, "ca": "/c.pem", "cert": "/d.pem", "key": "/k.pem"}),
    ("redis+hll://h?shards=1024", {"hosts": (("h", 6379),), "exact": False, "shards": 1024}),
    ("redis+sentinel://g:pw@h1:1,h2/mymaster/2?sentinel_password_env=S",
     {"topology": Topology.SENTINEL, "hosts": (("h1", 1), ("h2", 26379)), "service": "mymaster", "db": 2,
      "user": "g", "password": "pw", "sentinel_password_env": "S"}),
    ("rediss+hll+sentinel://h/m", {"topology": Topology.SENTINEL, "hosts": (("h", 26379),), "service": "m",
                                   "exact": False, "tls": True}),
    ("redis+cluster://h1,h2:7001,[fe80::1]:7002", {"topology": Topology.CLUSTER,
                                                   "hosts": (("h1", 6379), ("h2", 7001), ("fe80::1", 7002))}),
    ("redis+cluster+hll://h/0", {"topology": Topology.CLUSTER, "hosts": (("h", 6379),), "exact": False}),
    ("redis+unix:///run/my%20redis.sock?db=2", {"topology": Topology.UNIX, "hosts": (), "socket": "/run/my redis.sock", "db": 2}),
])  # fmt: skip
def test_a_redis_url_says_where_and_how(url, told):
    place = parse_url(url)
    assert isinstance(place, RedisPlace)
    for name, value in {**DEFAULTS, **told}.items():
        assert getattr(place, name) == value, name


@pytest.mark.parametrize(("url", "found", "allowed"), [
    ("redis://h?prefx=x", "option 'prefx' is unknown (did you mean 'prefix'?)", "prefix, password_env"),
    ("redis://h?username=x", "option 'username' is unknown", "prefix, password_env"),
    ("redis+sentinal://h/m", "'sentinal' in the scheme is unknown (did you mean 'sentinel'?)", "+sentinel, +cluster"),
    ("redis+hll+hll://h", "repeats or contradicts itself", "each once"),
    ("redis+cluster+sentinel://h/m", "repeats or contradicts itself", "each once"),
    ("rediss+unix:///s", "TLS over a socket", "redis+unix://"),
    ("redis:/h", "no ://", "redis://HOST"),
    ("redis://", "the host ''", "HOST:PORT"),
    ("redis://h:0", "the host 'h:0'", "HOST:PORT"),
    ("redis://h:70000", "the host 'h:70000'", "HOST:PORT"),
    ("redis://::1", "the host '::1'", "[IPV6]:PORT"),
    ("redis://h1,h2", "2 hosts for one server", "+sentinel or +cluster"),
    ("redis://h/x", "database 'x'", "a whole number"),
    ("redis://h/0/1", "the path /0/1", "/DB"),
    ("redis://h#x", "a fragment", "%23"),
    ("redis+sentinel://h", "the path /", "the name of the master"),
    ("redis+cluster://h/1", "the path /1", "has only 0"),
    ("redis+unix://h/s", "no absolute path of a socket", "redis+unix:///"),
    ("redis+unix:///", "no absolute path of a socket", "redis+unix:///"),
    ("redis://h?db=1", "option db does not belong here", "with +unix"),
    ("redis://h?shards=256", "option shards does not belong here", "with +hll"),
    ("redis+hll://h?users=5", "option users does not belong here", "without +hll"),
    ("redis+hll://h?shards=100", "option shards: shards '100'", "16, 32, 64, 128, 256, 512, 1024, 2048, 4096"),
    ("redis+hll://h?shards=8", "option shards", "16, 32"),
    ("redis://h?users=0", "option users: users '0'", "a whole number from 1"),
    ("redis://h?users=1e9", "option users: users '1e9'", "a whole number from 1"),
    ("redis://h?timeout=0", "option timeout", "seconds above 0"),
    ("redis://h?timeout=nan", "option timeout", "seconds above 0"),
    ("redis://h?prefix=", "option prefix: prefix ''", "letters, digits"),
    ("redis://h?prefix={x}", "option prefix", "letters, digits"),
    ("redis://h?prefix=a&prefix=b", "given twice", "each once"),
    ("redis://h?ca=/c", "option ca does not belong here", "with rediss://"),
    ("rediss://h?ca=c.pem", "option ca: no absolute path", "an absolute path"),
    ("rediss://h?cert=/c", "only one of the options cert and key", "both, or none"),
    ("redis://h?sentinel_password_env=S", "option sentinel_password_env does not belong here", "with +sentinel"),
    ("redis://:pw@h?password_env=PW", "several passwords", "one of"),
    ("redis://h?password_env=PW&password_file=/f", "several passwords", "one of"),
])  # fmt: skip
def test_what_it_must_not_say_is_named_with_what_is_allowed(url, found, allowed):
    with pytest.raises(LedgerUrlError) as raised:
        parse_url(url)
    assert found in raised.value.found
    assert allowed in raised.value.allowed
    assert str(raised.value) == f"ledger {raised.value.found}; allowed: {raised.value.allowed}"


SECRET = "hunter2"


@pytest.mark.parametrize("url", [
    f"redis://u:{SECRET}@h/x", f"redis://u:{SECRET}@h?prefx=1", f"redis://u:a/{SECRET}@h", f"redis://u:{SECRET}/a@h",
    f"redis://u:a?{SECRET}@h", f"redis://u:{SECRET}?a@h", f"redis://u:a#{SECRET}@h", f"redis://u:a@{SECRET}@h/x",
    f"redis://h?password={SECRET}", f"redis://h?{SECRET}", f"redis://h?password_env={SECRET}!", f"redis://h?password_file={SECRET}",
    f"redis+sentinal://u:{SECRET}@h/m", f"redis+sentinel://u:{SECRET}@h", f"redis+sentinel://h/m?sentinel_password_env={SECRET}-1",
    f"redis://u:{SECRET}@h?password_env=PW", f"redis+cluster://u:{SECRET}@h1,h2/1", f"rediss+unix://u:{SECRET}@/s",
])  # fmt: skip
def test_no_password_is_in_a_message(url):
    with pytest.raises(LedgerUrlError) as raised:
        parse_url(url)
    assert SECRET not in str(raised.value)
    assert SECRET not in shown(url)


def test_a_place_is_shown_without_secrets():
    url = f"redis+sentinel+hll://u:{SECRET}@h1:1,[::1]:2/m/3?prefix=x"
    place = parse_url(url)
    assert str(place) == "redis+sentinel+hll://h1:1,[::1]:2/m/3"
    assert SECRET not in repr(place)
    assert shown(url) == "redis+sentinel+hll://...@h1:1,[::1]:2/m/3"
    assert str(parse_url("redis+unix:///run/r.sock")) == "redis+unix:///run/r.sock"
    assert str(parse_url("rediss+cluster://h1,h2")) == "rediss+cluster://h1:6379,h2:6379"


@settings(max_examples=100)
@given(st.text("redis+hllnutcaexo:/@?#&=[]%,.-0123456789abc \0é", max_size=60))
def test_any_text_is_a_place_or_an_error_of_its_own(text):
    for url in (text, f"redis://{text}", f"redis+sentinel://h/{text}", f"rediss+hll://h?{text}", f"sqlite://{text}"):
        try:
            place = parse_url(url)
        except LedgerUrlError:
            continue
        assert isinstance(place, RedisPlace) is is_redis(url)


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_any_user_and_password_can_be_written(user, password):
    from urllib.parse import quote

    place = parse_url(f"redis://{quote(user, safe='')}:{quote(password, safe='')}@h")
    assert (place.user, place.password) == (user, password)


def test_other_schemes_are_files_or_unknown(tmp_path):
    assert parse_url(sqlite_url(tmp_path / "l.db")) == Place(str(tmp_path / "l.db"), survives_power_loss=False)
    assert not is_redis("redisx://h")
    with pytest.raises(LedgerUrlError, match="scheme 'redisx' is unknown"):
        parse_url("redisx://h")
    for text in ("foo", "/var/lib/guard/ledger.db", ""):
        with pytest.raises(LedgerUrlError, match=f"^ledger {text}: no scheme; allowed: sqlite:///"):
            parse_url(text)


def test_a_file_to_be_read_that_is_not_there_is_no_ledger_yet(tmp_path):
    path = tmp_path / "none" / "ledger.db"
    with pytest.raises(LedgerAbsent, match=f"^there is no ledger at {path} yet$"):
        open_ledger(sqlite_url(path), read_only=True)
    assert not path.parent.exists()
    path.parent.mkdir()
    path.mkdir()
    with pytest.raises(LedgerError) as raised:
        open_ledger(sqlite_url(path), read_only=True)
    assert not isinstance(raised.value, LedgerAbsent)


@pytest.mark.parametrize(("url", "what"), [
    ("rediss://127.0.0.1:1?ca=/nowhere/ca.pem", "/nowhere/ca.pem is no file"),
    ("redis://127.0.0.1:1?password_file=/nowhere/pw", "password file /nowhere/pw cannot be read"),
    ("redis://127.0.0.1:1?password_env=GUARD_NO_SUCH_VARIABLE", "GUARD_NO_SUCH_VARIABLE is not set"),
    ("redis+sentinel://127.0.0.1:1/m?sentinel_password_env=GUARD_NO_SUCH_VARIABLE", "GUARD_NO_SUCH_VARIABLE is not set"),
])  # fmt: skip
def test_files_and_variables_that_are_not_there_are_named_on_opening(url, what):
    with pytest.raises(LedgerError, match=what):
        open_ledger(url)


def test_a_password_file_may_hold_a_password_with_its_newline(tmp_path):
    from guard.usage.stores.redis_connection import Secret

    path = Path(tmp_path / "pw")
    path.write_text("s3cret\n")
    secret = Secret(parse_url(f"redis://guard@h?password_file={path}"))
    assert secret.get_credentials() == ("guard", "s3cret")
    path.write_text("rotated\n")
    assert secret.get_credentials() == ("guard", "rotated")
