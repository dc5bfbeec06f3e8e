"""Reading what a policy names: regular files of a sensible size, read once and at once.

Whoever writes a policy may name anything: a device that never ends, a FIFO that nobody writes to, a file of gigabytes.
None of them may hold up, or fill, the process that serves.
"""

import os
from errno import EFBIG, EINVAL, EISDIR
from pathlib import Path
from stat import S_ISDIR, S_ISREG

POLICY_BYTES = 8 * 1024 * 1024
"""Most of a YAML file: forty times all rules that ship with Guard."""
LICENSE_BYTES = 4 * 1024 * 1024
"""Most of a license file."""
_UNNAMED = "not the name of a file"


def read_bounded(path: Path, most: int = POLICY_BYTES) -> bytes:
    """Return the content of ``path``, a regular file of up to ``most`` bytes, without ever waiting for a writer.

    Raises OSError, with a ``strerror`` that says why, for whatever else ``path`` is.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError as error:
        raise OSError(EINVAL, _UNNAMED) from error
    try:
        found = os.fstat(descriptor)
        if S_ISDIR(found.st_mode):
            raise OSError(EISDIR, os.strerror(EISDIR))
        if not S_ISREG(found.st_mode):
            raise OSError(EINVAL, "not a regular file")
        content, size = b"", found.st_size
        while len(content) <= most:  # one read and an empty one, unless the file is being written
            more = os.read(descriptor, min(max(size, 4096), most) + 1)
            if not more:
                return content
            content += more
    finally:
        os.close(descriptor)
    raise OSError(EFBIG, f"larger than {most // (1024 * 1024)} MiB")


def unreadable(path: Path, most: int = POLICY_BYTES) -> str | None:
    """Return why ``read_bounded`` would not read ``path``, in words; None if it would."""
    try:
        read_bounded(path, most)
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def unusable(path: str) -> str | None:
    """Return why nothing can be at ``path``, or nobody may look there, in words; None if something is or could be."""
    try:
        os.stat(path)  # noqa: PTH116 - a Path says the same
    except (FileNotFoundError, NotADirectoryError):
        return None  # whoever wants the file says so
    except OSError as error:
        return error.strerror or type(error).__name__
    except ValueError:
        return _UNNAMED
    return None


def is_directory(path: Path) -> bool:
    """Return True if ``path`` is a directory; where that cannot be found out it is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
