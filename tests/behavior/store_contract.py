"""What every store of profiles promises."""

import threading

from guard.behavior.ladder import Step
from guard.behavior.store import Change

NAME, OTHER = "00000000000000aa", "00000000000000bb"
NOW = 1_795_000_000.0


def change(name, revision, data=b"\x00\xff profile", step=Step.METRIC, seen=NOW):
    return Change(name, revision, data, step, seen)


class StoreContract:
    """A subclass has the fixture ``open_store``, which returns a handle on one store each time."""

    def test_what_was_written_is_read_under_the_next_revision(self, open_store):
        store = open_store()
        assert store.read([NAME]) == {}
        assert not store.write([change(NAME, 0)])
        assert store.read([NAME, OTHER]) == {NAME: (1, b"\x00\xff profile")}
        assert not store.write([change(NAME, 1, b"next")])
        assert store.read([NAME])[NAME] == (2, b"next")

    def test_who_is_late_changes_nothing_and_is_told(self, open_store):
        one, two = open_store(), open_store()
        one.write([change(NAME, 0, b"first")])
        assert list(two.write([change(NAME, 0, b"late"), change(OTHER, 0, b"own")])) == [NAME]
        assert two.read([NAME, OTHER]) == {NAME: (1, b"first"), OTHER: (1, b"own")}
        assert list(two.write([change(NAME, 7, b"from nowhere")])) == [NAME]

    def test_who_stands_somewhere_is_known_and_who_came_down_is_not(self, open_store):
        store = open_store()
        store.write([change(NAME, 0, step=Step.CLAMP), change(OTHER, 0)])
        assert open_store().standing() == {NAME: Step.CLAMP}
        store.write([change(NAME, 1, step=Step.METRIC)])
        assert open_store().standing() == {}

    def test_identities_of_a_template_are_counted_once_and_by_day(self, open_store):
        store = open_store()
        assert list(store.saw("2026-11-22", [(7, NAME), (7, OTHER), (7, NAME), (8, NAME)])) == [1, 2, 2, 1]
        assert list(open_store().saw("2026-11-22", [(7, OTHER)])) == [2]
        assert list(store.saw("2026-11-23", [(7, OTHER)])) == [1]

    def test_two_gateways_lose_nothing_of_each_other(self, open_store):
        lost = []

        def add(store):
            for _ in range(25):
                for _ in range(200):
                    row = store.read([NAME]).get(NAME)
                    number = int(row.data) if row else 0
                    if not store.write([change(NAME, row.revision if row else 0, str(number + 1).encode())]):
                        break
                else:
                    lost.append(1)

        threads = [threading.Thread(target=add, args=(open_store(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not lost
        assert open_store().read([NAME])[NAME].data == b"50"
