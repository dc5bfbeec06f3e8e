"""The connection to Redis: one server, whichever the sentinels call master, or a cluster; opened at the first question.

A broken connection is made anew by the next question. Nothing here waits longer than the URL's timeout for an answer.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from redis import CredentialProvider, Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import AskError, MovedError, NoScriptError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as Disconnected
from redis.retry import Retry
from redis.sentinel import Sentinel

from guard.usage.ledger import LedgerError
from guard.usage.redis_url import RedisPlace, Topology
from guard.usage.stores.redis_script import Script
from guard.usage.stores.redis_trouble import explain, explained

PIPELINED = 512
"""Commands that are sent before their answers are read."""
_ELSEWHERE = (MovedError, AskError, TryAgainError)
Words = tuple[str | int | bytes, ...]


class Command(NamedTuple):
    """One question: the words of a command, or of a script what follows its name."""

    words: Words
    script: Script | None = None


def command(*words: str | int | bytes) -> Command:
    """Return a command of Redis, whose second word is its key."""
    return Command(words)


def call(script: Script, keys: Sequence[str], *arguments: str | int | bytes) -> Command:
    """Return a call of ``script``; in a cluster all ``keys`` must be in one slot."""
    return Command((len(keys), *keys, *arguments), script)


class RedisConnection:
    """Asks the servers at ``place``; safe for any number of threads. With ``text`` False replies are bytes.

    Raises LedgerError for files and variables of the place that are not there. Every question raises LedgerUnavailable
    or LedgerError (``redis_trouble``).
    """

    def __init__(self, place: RedisPlace, *, text: bool = True) -> None:
        self.place = place
        self._text = text
        self.cluster = place.topology is Topology.CLUSTER
        for name in (place.ca, place.cert, place.key):
            if name is not None and not Path(name).is_file():
                raise LedgerError(f"ledger {place}: {name} is no file; allowed: a PEM file")
        self._secret = Secret(place)
        self._secret.get_credentials()
        self._sentinel_password = _variable(place, place.sentinel_password_env)
        self._client: Any = None
        self._opening = threading.Lock()

    def ask(self, commands: Iterable[Command]) -> list[Any]:
        """Return the replies to ``commands``, which go out together, though not as one transaction."""
        replies: list[Any] = []
        with explained(str(self.place)):
            for part in _parts(commands):
                replies += self._ask(part)
        return replies

    def ask_servers(self, *words: str) -> Mapping[str, Any]:
        """Return the reply of every server that is a master, by its name."""
        with explained(str(self.place)):
            client = self._opened()
            if not self.cluster:
                return {"": client.execute_command(*words)}
            replies = client.execute_command(*words, target_nodes=RedisCluster.PRIMARIES)
            single = len(client.get_primaries()) == 1  # then the cluster client gives its reply without its name
            return {"": replies} if single else dict(replies)

    def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.close()

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        replies = self._send([_by_digest(each) for each in commands])
        # A server that was restarted has forgotten the scripts: those did nothing, so they go out once more, and with
        # them what was asked behind the first of them in plain words: it has read what they had not written.
        forgotten = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if forgotten:
            late = [at for at in range(forgotten[0], len(commands)) if at in forgotten or commands[at].script is None]
            again = self._send([_by_text(commands[at]) for at in late])
            for at, reply in zip(late, again, strict=True):
                replies[at] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise explain(reply, str(self.place)) from reply
        return replies

    def _send(self, commands: Sequence[Words]) -> list[Any]:
        client = self._opened()
        return _spread(client, commands) if self.cluster else _pipelined(client, commands)

    def _opened(self) -> Any:
        if self._client is None:
            with self._opening:
                if self._client is None:
                    self._client = self._open()
        return self._client

    def _open(self) -> Any:
        place = self.place
        told: dict[str, Any] = {
            "socket_timeout": place.timeout,
            "socket_connect_timeout": place.timeout,
            "decode_responses": self._text,
            "protocol": 2,
        }
        if place.tls:
            told |= {"ssl": True, "ssl_ca_certs": place.ca, "ssl_certfile": place.cert, "ssl_keyfile": place.key}
        secret: dict[str, Any] = {"credential_provider": self._secret} if self._secret.given else {}
        if self.cluster:
            nodes = [ClusterNode(host, port) for host, port in place.hosts]  # type: ignore[no-untyped-call]  # has no types
            return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 1), **told, **secret)
        # Once more on a new connection if the server closed the old one; what takes too long is not asked again.
        told["retry"] = Retry(NoBackoff(), 1, (Disconnected,))
        if place.topology is Topology.SENTINEL:
            own = {"password": self._sentinel_password} if self._sentinel_password else {}
            watchers = Sentinel(list(place.hosts), sentinel_kwargs=told | own)  # type: ignore[no-untyped-call]  # has no types
            return watchers.master_for(place.service, db=place.db, **told, **secret)  # type: ignore[no-untyped-call]  # ditto
        if place.socket is not None:
            return Redis(unix_socket_path=place.socket, db=place.db, **told, **secret)
        ((host, port),) = place.hosts
        return Redis(host, port, place.db, **told, **secret)


class Secret(CredentialProvider):
    """User and password, read anew for every connection, so that a rotated one is used without a restart."""

    def __init__(self, place: RedisPlace) -> None:
        self._place = place
        self.given = bool(place.user or place.password or place.password_env or place.password_file)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return them as redis-py wants them. Raises LedgerError for a file or variable that is not there."""
        place = self._place
        password = place.password or _variable(place, place.password_env) or ""
        if place.password_file is not None:
            try:
                password = Path(place.password_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError) as error:
                raise LedgerError(
                    f"ledger {place}: password file {place.password_file} cannot be read ({type(error).__name__})"
                ) from error
        return (place.user, password) if place.user else (password,)


def _variable(place: RedisPlace, name: str | None) -> str | None:
    if name is None:
        return None
    if not (found := os.environ.get(name)):
        raise LedgerError(f"ledger {place}: the environment variable {name} is not set; allowed: one with the password")
    return found


def _by_digest(asked: Command) -> Words:
    return asked.words if asked.script is None else ("EVALSHA", asked.script.digest, *asked.words)


def _by_text(asked: Command) -> Words:
    return asked.words if asked.script is None else ("EVAL", asked.script.text, *asked.words)


def _pipelined(client: Any, commands: Sequence[Words]) -> list[Any]:
    with client.pipeline(transaction=False) as pipeline:
        for words in commands:
            pipeline.execute_command(*words)
        return list(pipeline.execute(raise_on_error=False))


def _spread(client: Any, commands: Sequence[Words], *, again: bool = True) -> list[Any]:
    """Return the replies of the cluster's nodes to ``commands``, each asked for its own together.

    The cluster client's own pipeline asks the server for the keys of every script, and where a node hangs it waits for
    every command by itself.
    """
    replies: list[Any] = [None] * len(commands)
    shares: dict[str, tuple[Any, list[int]]] = {}
    for at, words in enumerate(commands):
        node = client.get_node_from_key(_key(words))
        shares.setdefault(node.name, (node, []))[1].append(at)
    for node, places in shares.values():
        share = [commands[at] for at in places]
        try:
            answers = _pipelined(client.get_redis_connection(node), share)
        except Disconnected:
            if not again:
                raise
            client.nodes_manager.initialize()  # another node may have taken its place
            answers = _spread(client, share, again=False)
        for at, answer in zip(places, answers, strict=True):
            replies[at] = _followed(client, commands[at]) if isinstance(answer, _ELSEWHERE) else answer
    return replies


def _followed(client: Any, words: Words) -> Any:
    """Return the reply of the node that a slot has moved, or is moving, to."""
    try:
        return client.execute_command(*words)
    except ResponseError as error:
        return error


def _key(words: Words) -> str:
    return str(words[3 if words[0] in {"EVALSHA", "EVAL"} else 1])


def _parts(commands: Iterable[Command]) -> Iterator[Sequence[Command]]:
    rest = iter(commands)
    while part := tuple(islice(rest, PIPELINED)):
        yield part
