"""Bearer tokens: a verifier that says what a token claims, or None.

RFC 8725: the accepted algorithms are stated, never taken from the token; ``none`` is not among them; a shared secret
and a public key are different kinds of key and never stand in for each other.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import isfinite
from pathlib import Path
from threading import Lock
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from guard.policy.reading import read_bounded
from guard.policy.settings.identity import JwtConfig

LEEWAY = 30.0
"""Seconds by which clocks may differ."""

MIN_SECRET = 32
"""Bytes of an HS* secret: RFC 7518 3.2 wants at least the hash's output."""

CACHED = 4096
"""Tokens whose verdict is remembered until they expire."""


class KeyProblem(Exception):
    """The configured key cannot verify tokens; the text says why and holds no secret."""


class TokenVerifier:
    """Verifies tokens and remembers the valid ones by digest until they expire. Safe to call from several threads."""

    def __init__(self, config: JwtConfig, keys: Mapping[str | None, Any], clock: Callable[[], float]) -> None:
        self._config = config
        self._keys = keys
        self._clock = clock
        self._lock = Lock()
        self._valid: OrderedDict[bytes, tuple[float, Mapping[str, object]]] = OrderedDict()

    def __call__(self, token: str) -> Mapping[str, object] | None:
        """Return the claims of a valid ``token`` (signature, times, issuer, audience), None for any other."""
        now = self._clock()
        digest = blake2b(token.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            known = self._valid.get(digest)
            if known is not None and now < known[0]:
                self._valid.move_to_end(digest)
                return known[1]
        claims = self._verify(token, now)
        if claims is not None:
            with self._lock:
                self._valid[digest] = (float(claims["exp"]) + LEEWAY, claims)
                if len(self._valid) > CACHED:
                    self._valid.popitem(last=False)
        return claims

    def _verify(self, token: str, now: float) -> Mapping[str, Any] | None:
        config = self._config
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(kid if None not in self._keys else None)
            if key is None:
                return None
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
        return claims


def build_verifier(
    config: JwtConfig, environment: Mapping[str, str], clock: Callable[[], float] = time.time
) -> TokenVerifier:
    """Return the verifier that ``config`` describes. Raises KeyProblem when its key cannot be used."""
    if config.secret_env is not None:
        secret = environment.get(config.secret_env, "")
        if len(secret.encode()) < MIN_SECRET:
            found = "is not set" if not secret else "is too short"
            raise KeyProblem(f"environment variable {config.secret_env} {found}; allowed: at least {MIN_SECRET} bytes")
        if "-----BEGIN" in secret:
            raise KeyProblem(f"environment variable {config.secret_env} holds a PEM key; allowed: a shared secret")
        return TokenVerifier(config, {None: secret}, clock)
    file = config.key_file or config.jwks_file or ""
    try:
        data = read_bounded(Path(file))
    except OSError as error:
        raise KeyProblem(f"{file} cannot be read: {error.strerror}") from error
    return TokenVerifier(config, {None: _public_key(data)} if config.key_file else _key_set(data, config), clock)


def _public_key(data: bytes) -> Any:
    try:
        if b"BEGIN CERTIFICATE" in data:
            return load_pem_x509_certificate(data).public_key()
        return load_pem_public_key(data)
    except ValueError:
        raise KeyProblem("the file is not a PEM public key or certificate") from None


def _key_set(data: bytes, config: JwtConfig) -> dict[str | None, Any]:
    try:
        entries = json.loads(data)["keys"]
        keys: dict[str | None, Any] = {}
        for entry in entries:
            if entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
                continue
            key = jwt.PyJWK.from_dict(entry)
            if key.algorithm_name in config.algorithms and key.key_id is not None:
                keys[key.key_id] = key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        raise KeyProblem("the file is not a JSON Web Key Set") from None
    if not keys:
        raise KeyProblem("the key set has no public signature key with a kid for the configured algorithms")
    return keys
