"""Bearer tokens and signed assertions: a verifier that says what one claims, or None.

RFC 8725: the accepted algorithms are stated, never taken from the token; ``none`` is not among them; a shared secret
and a public key are different kinds of key and never stand in for each other.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import isfinite
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from guard.policy.keyset import KeyProblem, Keys, KeySet, OneKey, Published, parse_key_set
from guard.policy.reading import read_bounded
from guard.policy.remote_keys import KeySets
from guard.policy.settings.identity import JwtConfig, SignedConfig

LEEWAY = 30.0
"""Seconds by which clocks may differ."""

MIN_SECRET = 32
"""Bytes of an HS* secret: RFC 7518 3.2 wants at least the hash's output."""

CACHED = 4096
"""Tokens whose verdict is remembered until they expire."""


class _Verdict(NamedTuple):
    """What a valid token claims, for as long as its key is the issuer's."""

    expires: float
    claims: Mapping[str, Any]
    kid: str | None
    key: Any


class TokenVerifier:
    """Verifies tokens and remembers the valid ones by digest until they expire, or their key is gone from ``keys``.

    Safe to call from several threads.
    """

    def __init__(self, config: SignedConfig, keys: Keys, clock: Callable[[], float]) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock
        self._lock = Lock()
        self._valid: OrderedDict[bytes, _Verdict] = OrderedDict()

    def __call__(self, token: str) -> Mapping[str, object] | None:
        """Return the claims of a valid ``token`` (signature, times, issuer, audience), None for any other."""
        now = self._clock()
        digest = blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            known = self._valid.get(digest)
            if known is not None and now < known.expires and self._keys.get(known.kid) is known.key:
                self._valid.move_to_end(digest)
                return known.claims
        verdict = self._verify(token, now)
        if verdict is None:
            return None
        with self._lock:
            self._valid[digest] = verdict
            if len(self._valid) > CACHED:
                self._valid.popitem(last=False)
        return verdict.claims

    def _verify(self, token: str, now: float) -> _Verdict | None:
        config = self._config
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(kid)
            if key is None:
                return None
            if isinstance(key, jwt.PyJWK) and key.algorithm_name not in config.algorithms:
                return None  # older PyJWT compares ``algorithms`` with what the token says of itself only
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(config.algorithms),
                audience=config.audience,
                issuer=config.issuer,
                options={
                    "require": ["exp", *(["iss"] if config.issuer else []), *(["aud"] if config.audience else [])],
                    "verify_aud": config.audience is not None,
                    "verify_exp": False,  # checked below against the injected clock
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            expires, begins = float(claims["exp"]), float(claims.get("nbf", now))
            if not (isfinite(expires) and now < expires + LEEWAY and begins <= now + LEEWAY):
                return None
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError):
            return None
        return _Verdict(expires + LEEWAY, claims, kid, key)


def build_verifier(
    config: SignedConfig,
    environment: Mapping[str, str],
    clock: Callable[[], float] = time.time,
    *,
    key_sets: KeySets | None = None,
    state_dir: Path | None = None,
) -> TokenVerifier:
    """Return the verifier that ``config`` describes. Raises KeyProblem when its key cannot be used.

    Keys behind a URL come from ``key_sets``, which keeps copies in ``state_dir``; without it nothing is fetched and
    no token is valid.
    """
    if isinstance(config, JwtConfig) and config.secret_env is not None:
        secret = environment.get(config.secret_env, "")
        if len(secret.encode()) < MIN_SECRET:
            found = "is not set" if not secret else "is too short"
            raise KeyProblem(f"environment variable {config.secret_env} {found}; allowed: at least {MIN_SECRET} bytes")
        if "-----BEGIN" in secret:
            raise KeyProblem(f"environment variable {config.secret_env} holds a PEM key; allowed: a shared secret")
        return TokenVerifier(config, OneKey(secret), clock)
    if config.jwks_url is not None:
        if key_sets is None:
            return TokenVerifier(config, KeySet({}), clock)
        remote = key_sets.follow(config.jwks_url, config.refresh, state_dir)
        if not remote.algorithms() & set(config.algorithms):
            raise KeyProblem(f"{remote.name} has no key for the configured algorithms")
        return TokenVerifier(config, remote, clock)
    file = config.key_file or config.jwks_file or ""
    try:
        data = read_bounded(Path(file))
    except OSError as error:
        raise KeyProblem(f"{file} cannot be read: {error.strerror}") from error
    return TokenVerifier(config, OneKey(_public_key(data)) if config.key_file else _key_set(data, config), clock)


def _public_key(data: bytes) -> Any:
    try:
        if b"BEGIN CERTIFICATE" in data:
            return load_pem_x509_certificate(data).public_key()
        return load_pem_public_key(data)
    except ValueError:
        raise KeyProblem("the file is not a PEM public key or certificate") from None


def _key_set(data: bytes, config: SignedConfig) -> KeySet:
    try:
        published = parse_key_set(data)
    except KeyProblem as error:
        raise KeyProblem(f"the file is {error}") from None
    usable: dict[str, Published] = {
        kid: one for kid, one in published.items() if one.key.algorithm_name in config.algorithms
    }
    if not usable:
        raise KeyProblem("the key set has no public signature key with a kid for the configured algorithms")
    return KeySet(usable)
