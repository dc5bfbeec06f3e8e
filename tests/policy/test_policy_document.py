"""Documents that no parser can finish."""

import pytest

from guard.policy.document import PolicyError, parse


@pytest.mark.parametrize("text", ["a: &a [*a]", "[" * 20_000 + "]" * 20_000])
def test_a_document_without_end_is_a_problem_and_no_crash(text):
    with pytest.raises(PolicyError, match="nested too deeply"):
        parse(text, "g.yaml")
