"""Remembered verdicts: bounded, for a while, and without any text."""

from guard.screening.judge.question import Opinion
from guard.transports.verdicts import VerdictCache


def test_a_verdict_holds_for_its_time():
    cache = VerdictCache(10, 60)
    digest = cache.digest(b"judge", b"text")
    assert cache.get(digest, 0) is None
    cache.put(digest, (Opinion("S9"),), 0)
    assert cache.get(digest, 59.9) == (Opinion("S9"),)
    assert cache.get(digest, 60) is None
    assert len(cache) == 0


def test_the_least_recently_used_goes_first():
    cache = VerdictCache(2, 60)
    one, two, three = (cache.digest(b"judge", text) for text in (b"1", b"2", b"3"))
    cache.put(one, (), 0)
    cache.put(two, (), 0)
    assert cache.get(one, 1) == ()
    cache.put(three, (), 1)
    assert [cache.get(digest, 2) for digest in (one, two, three)] == [(), None, ()]


def test_none_is_remembered_where_there_is_no_room():
    cache = VerdictCache(0, 60)
    digest = cache.digest(b"judge", b"text")
    cache.put(digest, (), 0)
    assert cache.get(digest, 0) is None


def test_digests_are_of_the_judge_and_every_part_and_of_this_cache_alone():
    cache = VerdictCache(1, 1)
    asked = [(b"a", b"b", b"c"), (b"a", b"bc"), (b"ab", b"c"), (b"a", b"c", b"b"), (b"x", b"b", b"c")]
    digests = {cache.digest(*parts) for parts in asked}
    assert len(digests) == len(asked)
    assert {len(digest) for digest in digests} == {16}
    assert VerdictCache(1, 1).digest(*asked[0]) not in digests
