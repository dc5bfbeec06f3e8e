"""Problems of a case are told with a path that is in the case file."""

from guard.policy.document import Problem, parse
from guard.policy.rehearsal.misplaced import placed

TEXT = """\
license: gemma
cases:
  - name: a
  - name: b
    settings:
      usage: {limits: {gemma: 5}}
"""


def place(path, found="wrong", file="defaults"):
    return str(placed(Problem(file, 0, path, found), parse(TEXT, "c.yaml"), 1)).removesuffix(": wrong")


def test_what_the_case_sets_is_told_where_it_stands():
    assert place("usage.limits.gemma") == "c.yaml:6: cases[1].settings.usage.limits.gemma"
    assert place("usage.at_limit") == "c.yaml:6: cases[1].settings.usage.at_limit"


def test_the_model_the_case_did_not_set_has_the_license_of_the_file():
    assert place("models.served-model.license") == "c.yaml:1: license"
    assert place("models.served-model.license", file="command line") == "c.yaml:1: license"


def test_anything_else_is_said_of_the_case():
    assert place("territory.country_headers") == "c.yaml:4: cases[1]: territory.country_headers"
    assert place("") == "c.yaml:4: cases[1]"


def test_what_stands_in_another_file_stays_there():
    assert place("aup", file="packs/acme.yaml") == "packs/acme.yaml: aup"
