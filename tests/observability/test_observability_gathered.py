"""What the hot path counts is added up in batches, and nobody who looks can tell."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter

from guard.observability.gathered import BATCH, Gathered
from guard.observability.metrics import Metrics

WORDS = st.sampled_from(["allow", "deny", "flag", "other"])
EXCHANGES = st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS, st.integers(0, 3)), max_size=3 * BATCH)


def told(registry):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_created", "_seconds"))
    }


@settings(max_examples=40, deadline=None)
@given(EXCHANGES)
def test_an_exchange_counts_as_its_request_its_identity_and_its_parts_do_one_by_one(exchanges):
    at_once, one_by_one = CollectorRegistry(), CollectorRegistry()
    metrics, reference = Metrics(at_once), Metrics(one_by_one)
    for decision, reason, license, source, texts in exchanges:
        metrics.exchanged(decision, reason, license, source, texts)
        reference.request(decision, reason, license)
        reference.identity(source)
        if texts:
            reference.parts("text", "scanned", texts)
    assert told(at_once) == told(one_by_one)


def test_a_scrape_sees_what_was_counted_just_before_it():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for number in range(1, 4):
        metrics.exchanged("allow", "served", "llama-2", "body", 1)
        assert registry.get_sample_value("guard_identity_total", {"source": "body"}) == number


def test_a_full_batch_is_added_without_a_scrape_and_others_need_only_ask():
    gathered, taken = Gathered(), []
    take = gathered.taker(taken.extend)
    for number in range(BATCH - 1):
        take(number)
    assert taken == []
    take(BATCH - 1)
    assert taken == list(range(BATCH))
    take(BATCH)
    gathered.gather()
    assert taken == list(range(BATCH + 1))


def test_threads_that_count_and_gather_at_once_lose_nothing_and_count_nothing_twice():
    gathered, registry = Gathered(), CollectorRegistry()
    family = Counter("each", "x", registry=registry)
    take = gathered.taker(lambda notes: family.inc(sum(notes)))

    def work(number):
        for each in range(2000):
            take(1)
            if each % 100 == number:
                gathered.gather()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    gathered.gather()
    assert registry.get_sample_value("each_total") == 8 * 2000


def test_what_waits_when_its_process_lets_go_of_the_metrics_is_added():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    family = next(each for each in registry._collector_to_names if getattr(each, "_name", "") == "guard_requests")
    metrics.exchanged("allow", "served", "llama-2", "body", 1)
    metrics._finalizer()
    assert family.labels("allow", "served", "llama-2")._value.get() == 1
