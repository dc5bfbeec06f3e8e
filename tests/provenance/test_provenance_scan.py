"""The compiled search and its twin find the same, whatever the bytes; and it is what a plain comparison finds."""

import random
from array import array
from threading import Thread
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from segment_world import NOW, NUMBERS, OUTPUTS, RECEIPTS, keys, output, some_keys

from guard.provenance import packing, scan_twin
from guard.provenance.frames import End, Label, Totals, encode, encode_output, framed, read_output

try:
    from guard.provenance import _scan
except ImportError:
    _scan = None

FORMS = [scan_twin] if _scan is None else [scan_twin, _scan]
compiled = pytest.mark.skipif(_scan is None, reason="installed where there was no compiler")
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__.rpartition(".")[2])

texts = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.one_of(
            st.lists(NUMBERS, max_size=12).map(keys),
            st.sampled_from([bytes(16), b"\1" * 16, bytes(range(16))]).map(bytearray),
            RECEIPTS,
        ),
    ),
    max_size=12,
)
"""What texts are known by: keys as bytes, digests as bytearrays, receipts as strings."""


def posted(form, known, common=1000):
    postings = form.Postings()
    for text, mark in known:
        if isinstance(mark, str):
            postings.add_receipt(text, mark)
        elif isinstance(mark, bytearray):
            postings.add_digest(text, mark)
        else:
            postings.add(text, mark)
    postings.seal(common)
    return postings


def frames_of(batches):
    """The frames of a segment behind its beginning: two labels, then ``batches`` of outputs."""
    labels = [framed(encode(Label(number, "tiny", (), None))) for number in range(2)]
    outputs = [framed(b"\3" + b"".join(map(encode_output, batch))) for batch in batches if batch]
    return b"".join([*labels, *outputs, framed(encode(Totals(1, 1, 0))), framed(encode(End(NOW)))])


# --- packing ---


@every_form
@given(values=st.lists(NUMBERS, max_size=300))
def test_keys_are_packed_and_come_back_sorted_and_once(form, values):
    packed = form.pack(keys(values))
    assert form.unpack(packed) == keys(sorted(set(values)))
    assert packed == packing.pack(keys(values))


@every_form
def test_62_keys_take_at_most_four_bytes_each(form):
    for seed in range(50):
        assert len(form.pack(keys(some_keys(seed)))) <= 4.0 * 62
    assert form.pack(b"") == form.unpack(b"") == b""


@every_form
@pytest.mark.parametrize("wrong", [b"1234567", keys([1 << 36]), keys([5, (1 << 64) - 1])])
def test_what_are_no_keys_is_not_packed(form, wrong):
    with pytest.raises(ValueError, match="allowed"):
        form.pack(wrong)


@compiled
@given(packed=st.one_of(st.binary(max_size=60), st.lists(NUMBERS, min_size=1, max_size=70).map(keys).map(packing.pack)))
def test_both_forms_refuse_the_same_packed_keys(packed):
    results = []
    for form in FORMS:
        try:
            results.append(form.unpack(packed))
        except ValueError:
            results.append(None)
    assert results[0] == results[1]
    if results[0]:
        assert packing.pack(results[0]) == packed  # there is one way to pack them


@every_form
def test_any_length_is_packed(form):
    chance = random.Random(5)
    for count in (1, 2, 3, 7, 8, 127, 128, 255, 256, 5000):
        values = sorted(chance.sample(range(1 << 36), count))
        assert form.unpack(form.pack(keys(values))) == keys(values)
    dense = keys(range(1000))
    assert form.unpack(form.pack(dense)) == dense
    assert len(form.pack(dense)) < 4000


# --- the walk ---


@compiled
@settings(max_examples=50, deadline=None)
@given(known=texts, batches=st.lists(st.lists(OUTPUTS, max_size=4), max_size=5), common=st.integers(0, 3))
def test_both_forms_find_the_same_wherever_the_chunks_end(known, batches, common):
    data = frames_of(batches)
    chance = random.Random(len(data))
    results = []
    pieces = [chance.randrange(1, len(data) + 1) for _ in range(4)]
    for form in FORMS:
        postings = posted(form, known, common)
        steps, at, labels, end = [], 0, 0, 0
        for piece in [*pieces, len(data)]:
            end = min(len(data), end + piece)
            walked = postings.walk(data[:end], at, labels)
            at = walked[0]
            labels += sum(payload[0] == 2 for payload in walked[2])
            steps.append(walked)
        assert at == len(data)
        results.append((steps, postings.stops(), postings.common(), len(postings)))
    assert results[0] == results[1]


@compiled
@settings(max_examples=50, deadline=None)
@given(
    known=texts, batches=st.lists(st.lists(OUTPUTS, max_size=3), max_size=3), chance=st.randoms(use_true_random=False)
)
def test_both_forms_notice_the_same_damage_in_the_same_place(known, batches, chance):
    data = bytearray(frames_of(batches))
    for _ in range(chance.randrange(1, 3)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    walks = [posted(form, known).walk(bytes(data), 0, 0) for form in FORMS]
    assert walks[0] == walks[1]


@compiled
@settings(max_examples=50, deadline=None)
@given(known=texts, outputs=st.lists(OUTPUTS, min_size=1, max_size=3), chance=st.randoms(use_true_random=False))
def test_bytes_behind_a_right_checksum_are_not_trusted_either(known, outputs, chance):
    inside = bytearray(b"".join(map(encode_output, outputs)))
    for _ in range(chance.randrange(1, 4)):
        inside[chance.randrange(len(inside))] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:
        del inside[chance.randrange(len(inside)) :]
    data = framed(b"\3" + bytes(inside)) + bytes(chance.randrange(3))
    walks = [posted(form, known).walk(data, 0, 2) for form in FORMS]
    assert walks[0] == walks[1]
    assert walks[0][0] in {0, len(inside) + 9}


@compiled
@given(data=st.binary(max_size=200))
def test_no_bytes_break_it(data):
    for payload in (data, framed(b"\3" + data), framed(b"\3\x08" + data)):
        walks = [posted(form, [(1, keys([1, 2]))]).walk(payload, 0, 1) for form in FORMS]
        assert walks[0] == walks[1]


@every_form
def test_checksums_are_those_of_zlib_at_every_length(form):
    postings = posted(form, [])
    octets = random.Random(3).randbytes(700)
    for length in range(1, 600):
        payload = b"\2" + octets[: length - 1]
        data = length.to_bytes(4, "little") + crc32(payload).to_bytes(4, "little") + payload
        assert postings.walk(data, 0, 0)[:3] == (len(data), False, [payload])
        assert postings.walk(data[:-1] + bytes([data[-1] ^ 16]), 0, 0)[:2] == (0, True)


def shared(output, values):
    have = set(array("Q", packing.unpack(output.keys)))
    return sum(1 << place for place, value in enumerate(values) if value in have)


@every_form
def test_it_finds_what_a_plain_comparison_finds(form):
    chance = random.Random(11)
    pool = some_keys(1, 300)
    outputs = [
        output(seed, keys=packing.pack(keys(chance.sample(pool, chance.randrange(0, 40)))), digests=b"")
        for seed in range(40)
    ]
    known = {text: chance.sample(pool, chance.randrange(1, 120)) for text in range(30)}
    postings = posted(form, [(text, keys(values)) for text, values in known.items()])
    data = frames_of([outputs[:15], outputs[15:]])
    end, damaged, _, counts, found = postings.walk(data, 0, 0)
    assert (end, damaged, counts) == (len(data), False, (40, 40, 40))
    expected = [
        (each.receipt, text, mask)
        for each in outputs
        for text, values in known.items()
        if (mask := shared(each, values)).bit_count() >= 2
    ]
    assert len(expected) > 100
    assert [(read_output(data, at, to)[0].receipt, text, mask) for at, to, text, mask in found] == expected


@every_form
def test_one_shared_key_is_nothing_but_a_digest_or_a_receipt_is(form):
    values = some_keys(1)
    each = output(1, digests=b"\1" * 16 + b"\2" * 16, receipt="r-any-0")
    data = framed(b"\3" + encode_output(each))
    known = [(1, keys(values[:1])), (2, keys([7, values[3], values[9]])), (3, bytearray(b"\2" * 16)), (4, "r-any-0")]
    known += [(5, keys(values[5:6])), (5, "r-any-0"), (6, "r-any-00"), (7, bytearray(b"\3" * 16))]
    found = posted(form, known).walk(data, 0, 1)[4]
    assert [(text, mask) for _, _, text, mask in found] == [
        (2, 0b110), (3, 1 << 127), (4, 1 << 126), (5, 1 << 126 | 1)
    ]  # fmt: skip


@every_form
def test_a_key_is_never_taken_for_a_digest(form):
    digest = bytes(range(16))
    value = int.from_bytes(digest[:8], "little") & (1 << 36) - 1
    each = output(1, digests=digest, keys=packing.pack(keys([5])))
    postings = posted(form, [(1, keys([value, 6]))])
    assert postings.walk(framed(b"\3" + encode_output(each)), 0, 1)[4] == []


@every_form
def test_keys_seen_under_three_prompts_are_stops(form):
    first, second, third = (keys(some_keys(seed, 3)) for seed in (1, 2, 3))
    postings = posted(form, [(1, first + second), (2, second), (3, third)])
    packed = [packing.pack(each) for each in (first, second, third)]
    outputs = [output(n, prompt=prompt, keys=packed[0]) for n, prompt in enumerate([9, 9, 4, 9, 4])]
    outputs += [output(n, prompt=prompt, keys=packed[1]) for n, prompt in enumerate([0, 7, 0, 3, 8])]
    outputs += [output(n, prompt=0, keys=packed[2]) for n in range(5)]
    data = frames_of([[each] for each in outputs])
    postings.walk(data, 0, 0)
    assert postings.stops() == {1: 0b111000, 2: 0b111}
    assert postings.common() == {}


@every_form
def test_a_key_of_too_many_texts_is_left_out_and_said(form):
    phrase, own = keys([11, 22]), keys(some_keys(4, 3))
    known = [(text, phrase) for text in range(5)] + [(9, own + phrase), (10, own)]
    data = framed(b"\3" + encode_output(output(1, keys=packing.pack(phrase + own))))
    postings = posted(form, known, common=5)
    assert postings.common() == dict.fromkeys(range(5), 0b11) | {9: 0b11000}
    assert [(text, mask) for _, _, text, mask in postings.walk(data, 0, 1)[4]] == [(9, 0b111), (10, 0b111)]
    assert posted(form, known, common=6).common() == {}


@every_form
def test_a_digest_that_many_texts_share_is_not_left_out(form):
    digest = bytearray(b"\5" * 16)
    postings = posted(form, [(text, digest) for text in range(9)], common=2)
    each = output(1, digests=bytes(digest))
    assert len(postings.walk(framed(b"\3" + encode_output(each)), 0, 1)[4]) == 9


@every_form
def test_what_is_out_of_range_is_refused(form):
    postings = form.Postings()
    for wrong in (
        lambda: postings.add(-1, keys([1])),
        lambda: postings.add(1 << 21, keys([1])),
        lambda: postings.add(0, keys(range(121))),
        lambda: postings.add(0, keys([1 << 36])),
        lambda: postings.add(0, b"1234567"),
        lambda: postings.add_digest(0, b"short"),
        lambda: postings.walk(b"", 0, 0),
    ):
        with pytest.raises(ValueError, match=r"."):
            wrong()
    assert len(postings) == 0
    postings.add((1 << 21) - 1, keys(range(120)))
    postings.seal()
    assert len(postings) == 120
    for late in (lambda: postings.add(0, b""), lambda: postings.add_receipt(0, "r"), postings.seal):
        with pytest.raises(ValueError, match="sealed"):
            late()
    with pytest.raises(ValueError, match=r"."):
        postings.walk(b"", -1, 0)


@compiled
def test_very_long_outputs_and_very_many_are_found_too():
    long = sorted(random.Random(2).sample(range(1 << 36), 40_000))
    many = [output(seed, digests=b"") for seed in range(1000)]
    data = frames_of([[output(9999, keys=packing.pack(keys(long)), digests=b"")], many[:500], many[500:]])
    known = [(0, keys(long[20_000:20_120])), *((seed + 1, keys(some_keys(seed)[:60])) for seed in range(0, 1000, 7))]
    walks = [posted(form, known).walk(data, 0, 0) for form in FORMS]
    assert walks[0] == walks[1]
    assert [text for _, _, text, _ in walks[0][4]] == [0, *range(1, 1001, 7)]


@compiled
def test_keys_of_one_corner_fill_one_part_and_nothing_is_lost():
    outputs = [output(seed, keys=packing.pack(keys(range(seed, seed + 2000))), digests=b"") for seed in range(40)]
    data = frames_of([[each] for each in outputs])
    known = [(text, keys(range(text * 40, text * 40 + 100))) for text in range(40)]
    results = []
    for form in FORMS:
        postings = posted(form, known)
        results.append((postings.walk(data, 0, 0), postings.stops()))
    assert results[0] == results[1]
    assert len(results[0][0][4]) == 1600


@compiled
def test_other_threads_run_while_it_walks_and_none_walks_the_same_postings():
    data = frames_of([[output(seed) for seed in range(20)]] * 200)
    postings = posted(_scan, [(1, keys(some_keys(1)[:60]))])
    refused, ran = [], []

    def walk():
        for _ in range(5):
            try:
                ran.append(postings.walk(data, 0, 0)[3])
            except ValueError as error:
                refused.append(str(error))

    threads = [Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ran) + len(refused) == 20
    assert set(ran) == {(4000, 4000, 4000)}
    assert all("walked elsewhere" in error for error in refused)
