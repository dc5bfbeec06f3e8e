"""References: as many as are asked for, each once, in a process and in those that it forks."""

import os
from concurrent.futures import ThreadPoolExecutor

from guard.transports.reference import REFERENCE, new_reference


def test_none_is_given_twice():
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: new_reference(), range(5000)))
    assert len(set(made)) == 5000
    assert all(REFERENCE.fullmatch(one) for one in made)


def test_a_forked_process_makes_its_own():
    new_reference()  # what is left of the batch would be the same in both
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, "".join(new_reference() for _ in range(50)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 10_000).decode()
    os.close(reader)
    os.close(writer)
    assert len(theirs) == 1000
    assert not {theirs[at : at + 20] for at in range(0, 1000, 20)} & {new_reference() for _ in range(300)}
