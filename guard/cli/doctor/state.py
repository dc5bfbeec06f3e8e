"""The state directory: that it can be written, has room, and outlives the process."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from guard.cli.doctor.check import Check, fail, ok, warn

if TYPE_CHECKING:
    from guard.policy.config import Config

LEAST_FREE = 512 * 1024 * 1024
"""Bytes; a spool that cannot be written refuses requests."""
NO_FREE = 1024 * 1024
"""Bytes below which not even a segment of the spool can be made."""
VOLATILE = {
    "tmpfs": "memory: a restart of the machine or pod loses it",
    "ramfs": "memory: a restart of the machine or pod loses it",
    "overlay": "the container's own layer: it goes with the container",
}
"""File systems that forget, and what they are."""
SHARED = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"})
"""File systems over a network, whose locks SQLite cannot rely on."""
MOUNTS = Path("/proc/self/mountinfo")


def checks(config: "Config") -> Iterator[Check]:
    """Yield what is to be said of ``state_dir``."""
    state = Path(config.state_dir).absolute()
    existing = next(place for place in (state, *state.parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield fail("state directory", f"{existing} cannot be written by this user", "chown it, or set state_dir")
    elif not state.is_dir():
        yield warn("state directory", f"{config.state_dir} is not there yet", "none: the first start makes it")
    else:
        yield ok("state directory", f"{config.state_dir} can be written")
    free = shutil.disk_usage(existing).free
    said = f"{free / 1e9:.1f} GB free for spool, ledger, audit chain and index in {existing}"
    if free >= LEAST_FREE:
        yield ok("free space", said)
    else:
        yield (warn if free >= NO_FREE else fail)("free space", said, "make room, or move state_dir")
    yield from _file_system(config, existing.resolve())


def _file_system(config: "Config", place: Path) -> Iterator[Check]:
    kind = file_system_of(place)
    if kind is None:
        return
    if kind in VOLATILE:
        detail = f"{place} is on {kind}, {VOLATILE[kind]}"
        yield warn("file system", detail, "mount a volume there: keys, spool and audit chain have to outlive a restart")
    elif kind in SHARED and (config.usage.ledger or "sqlite:").startswith("sqlite:"):
        detail = f"{place} is on {kind}: SQLite's locks do not hold there"
        yield warn("file system", detail, "a local disk, or a ledger in Redis")
    else:
        yield ok("file system", f"{place} is on {kind}")


class Mount(NamedTuple):
    """What is mounted somewhere."""

    point: str
    kind: str
    read_only: bool


def file_system_of(place: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the file system that ``place`` is on; None where this system does not say."""
    mount = mount_of(place, mounts)
    return mount.kind if mount is not None else None


def mount_of(place: Path, mounts: Path = MOUNTS) -> Mount | None:
    """Return the mount that ``place`` is on, as proc(5) has it in mountinfo; None where this system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    best: Mount | None = None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        parts = fields.split()
        if len(parts) < 6 or not rest:
            continue
        mounted = parts[4].encode("utf-8", "surrogateescape").decode("unicode_escape")  # \040 is a space
        inside = mounted == "/" or str(place) == mounted or str(place).startswith(f"{mounted}/")
        if inside and (best is None or len(mounted) >= len(best.point)):
            best = Mount(mounted, rest.split()[0], "ro" in parts[5].split(","))
    return best
