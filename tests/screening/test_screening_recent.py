"""The last results are remembered by the text itself, and not for long."""

from guard.screening.recent import KEPT, LONGEST, Recent


def test_the_same_text_is_worked_on_once():
    asked = []
    length = Recent(lambda text: asked.append(text) or len(text))
    texts = [f"{number} texts" for number in range(KEPT)]
    assert [length(text) for _ in range(3) for text in texts] == [7] * 3 * KEPT
    assert asked == texts


def test_texts_are_forgotten_and_long_ones_never_kept():
    asked = []
    length = Recent(lambda text: asked.append(text) or len(text))
    first, long = "the first", "x" * (LONGEST + 1)
    for text in (first, *(f"{number}" for number in range(KEPT)), first, long, long):
        length(text)
    assert asked.count(first) == 2
    assert asked.count(long) == 2


def test_an_equal_text_is_another_one():
    """To compare long texts that are not the same would cost more than it saves."""
    asked = []
    length = Recent(lambda text: asked.append(text) or len(text))
    one = "a text"
    two = one.upper().lower()
    assert length(one) == length(two) == 6
    assert len(asked) == 2
