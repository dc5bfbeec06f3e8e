"""A license as data: the parts that answer questions."""

from guard.licensing.license import AupItem, OutputRule, Status, Threshold, Window
from guard.screening.findings import Action


def test_an_item_may_treat_one_of_its_categories_otherwise():
    item = AupItem("harm", "h", "2", ("S4", "S1"), "full", "content", Action.BLOCK, otherwise=(("S1", Action.FLAG),))
    assert (item.action_for("S4"), item.action_for("S1")) == (Action.BLOCK, Action.FLAG)


def test_only_a_stated_number_of_monthly_users_can_be_counted():
    def threshold(metric, value):
        return Threshold("t", metric, value, None, "greater_than", Window.STANDING, None, "", "", "no_rights", "", "4",
                         Status.CONFIRMED)  # fmt: skip

    assert threshold("monthly_active_users", 5).counts_users
    assert not threshold("monthly_active_users", None).counts_users
    assert not threshold("monthly_revenue", 5).counts_users


def test_the_rules_that_forbid_training_are_the_three_that_say_so():
    forbidding = {rule for rule in OutputRule if rule.forbids_training}
    assert {rule.value for rule in forbidding} == {
        "no_training_other_llm_except_family",
        "no_training_other_model_except_family",
        "no_training_foundation_models_except_family",
    }
