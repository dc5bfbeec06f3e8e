"""Make the secrets of compose.yaml that are not there yet: random ones, in ./secrets beside this file.

    python deploy/docker/make_secrets.py

The directory is for its owner only (0700). The files in it are 0444, because every service reads its own as a user of
its own, and each is given only to the services that need it.
"""

import hashlib
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).with_name("secrets")
USERS = """\
user default on nopass -@all +ping
user guard on #{digest} ~guard:* +@read +@write +@scripting +@connection +info +time +config|get
"""
"""Redis' own list: anybody may ask whether it lives, and Guard may use what is Guard's.

``guard doctor`` and the gateway look at what Redis keeps (CONFIG GET).
"""


def make(name: str, text: str) -> bool:
    """Write the secret, and return whether it was missing; one that is there stays."""
    path = FOLDER / name
    if path.exists():
        return False
    path.write_text(text, encoding="ascii")
    path.chmod(0o444)
    return True


def main() -> None:
    """Make what is missing and say what was made."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    FOLDER.chmod(0o700)
    made = [name for name in ("guard-admin-token", "redis-password", "grafana-password") if make(name, random())]
    digest = hashlib.sha256((FOLDER / "redis-password").read_bytes()).hexdigest()
    if make("redis-users", USERS.format(digest=digest)):
        made.append("redis-users")
    sys.stdout.write(f"made in {FOLDER}: {', '.join(made) or 'nothing, all are there'}\n")


def random() -> str:
    """Return 32 random bytes as 64 digits."""
    return os.urandom(32).hex()


if __name__ == "__main__":
    main()
