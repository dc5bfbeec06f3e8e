"""Progress bars of a check on standard error: how far the data set is read, and the index searched."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Bars(NamedTuple):
    """What is told how far a check is."""

    read: Callable[[int], None]
    """Told how many bytes of the data set were read."""
    searched: Callable[[int, int], None]
    """Told how many bytes of indexes were searched, and of how many."""


@contextmanager
def bars(size: int) -> Iterator[Bars]:
    """Give bars for a data set of ``size`` bytes, 0 if that is not known; they are shown on a terminal only."""
    if not sys.stderr.isatty():
        yield Bars(lambda _done: None, lambda _done, _total: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        reading = progress.add_task("reading", total=size or None)
        searching = progress.add_task("searching", total=None)
        yield Bars(
            lambda done: progress.update(reading, completed=done),
            lambda done, total: progress.update(searching, completed=done, total=total),
        )
