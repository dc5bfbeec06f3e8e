"""A license as data: the parts that answer questions."""

from guard.licensing.license import AupItem, OutputRule, Status, Threshold, Window
from guard.screening.findings import Action


def test_an_item_may_treat_one_of_its_categories_otherwise():
    item = AupItem("harm", "h", "2", ("S4", "S1"), "full", "content", Action.BLOCK, otherwise=(("S1", Action.FLAG),))
    assert (item.action_for("S4"), item.action_for("S1")) == (Action.BLOCK, Action.FLAG)


def threshold(metric, value, window=Window.STANDING, comparator="greater_than"):
    return Threshold("t", metric, value, None, comparator, window, None, "", "", "no_rights", "", "4", Status.CONFIRMED)


def test_only_a_stated_number_of_users_can_be_counted():
    assert threshold("monthly_active_users", 5).counts_users
    assert threshold("daily_active_users", 5).counts_users
    assert not threshold("monthly_active_users", None).counts_users
    assert not threshold("monthly_revenue", 5).counts_users


def test_what_passes_a_threshold_and_what_has_to_be_attested():
    assert threshold("monthly_active_users", 5).allowed == 5
    assert threshold("daily_active_users", 5, comparator="must_be_less_than").allowed == 4
    assert threshold("monthly_active_users", 5, Window.RELEASE_SNAPSHOT).attested
    assert not threshold("monthly_active_users", 5).attested
    assert not threshold("annual_revenue", 5, Window.RELEASE_SNAPSHOT).attested
    assert [threshold(metric, 5).monthly for metric in ("monthly_active_users", "daily_active_users")] == [True, False]


def test_the_rules_that_forbid_training_are_the_three_that_say_so():
    forbidding = {rule for rule in OutputRule if rule.forbids_training}
    assert {rule.value for rule in forbidding} == {
        "no_training_other_llm_except_family",
        "no_training_other_model_except_family",
        "no_training_foundation_models_except_family",
    }
