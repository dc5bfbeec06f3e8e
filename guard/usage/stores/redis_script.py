"""The scripts that run inside Redis: each does in one step what must not be seen half done (``lua/``)."""

from hashlib import sha1
from pathlib import Path

_FOLDER = Path(__file__).parent / "lua"


class Script:
    """One script: its text, and the SHA-1 under which Redis caches it."""

    __slots__ = ("digest", "text")

    def __init__(self, *names: str, folder: Path = _FOLDER) -> None:
        self.text = "\n".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
        self.digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()  # the name EVALSHA knows it by


ADD = Script("shape", "add")
ESTIMATE = Script("shape", "estimate")
MERGE = Script("shape", "merge")
FORGET = Script("shape", "forget")
TOTAL = Script("total")
MEMBERS = Script("members")
RESTATE = Script("restate")
CLAIM = Script("claim")
