"""Documents that no parser can finish, files that never end, and what no problem may show."""

import os
import threading

import pytest

from guard.policy.document import MAX_DEPTH, MAX_NODES, PolicyError, Problem, foreseen, parse, read, scan
from guard.policy.locations import shipped_licenses, shipped_rules, yaml_files
from guard.policy.reading import POLICY_BYTES, unusable


def said(text):
    with pytest.raises(PolicyError) as refused:
        parse(text, "g.yaml")
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, "[" * 20_000 + "]" * 20_000, "{a: " * 30_000, "- " * 5_000 + "x", "? " * 5_000 + "x"],
    ids=["open", "closed", "mappings", "dashes", "keys"],
)
def test_nesting_without_end_is_a_problem_at_its_line_and_no_crash_of_the_process(text):
    found = []
    thread = threading.Thread(target=lambda: found.extend(said("a: 1\nb:\n  " + text)))  # a small stack, as at work
    thread.start()
    thread.join()
    assert found == [f"g.yaml:3: document: nested too deeply; allowed: up to {MAX_DEPTH} levels"]


def test_as_deep_as_allowed_is_read():
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "g.yaml").data is not None


def test_an_alias_that_contains_itself_is_a_problem():
    assert said("a: &a [*a]") == [
        "g.yaml:1: document: an alias that contains itself, *a; allowed: no such alias",
    ]
    assert "contains itself" in said("x: &x {<<: *x}")[0]


def test_aliases_are_counted_for_all_that_stands_behind_them():
    doubled = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    assert said(doubled)[0].endswith(f"too many values, aliases counted; allowed: up to {MAX_NODES} in a file")
    assert "found undefined alias" in said("a: *nothing")[0]


def test_too_many_plain_values_are_too_many():
    assert "too many values" in said("- x\n" * (MAX_NODES + 1))[0]


def test_anchors_of_the_shipped_files_mean_what_they_did():
    aliased = parse("a: &a {any: [x, y]}\nb: [*a, *a]\n", "g.yaml")
    assert aliased.data == {"a": {"any": ["x", "y"]}, "b": [{"any": ["x", "y"]}] * 2}
    for file in (*yaml_files(shipped_rules()), *yaml_files(shipped_licenses())):
        assert scan(file.read_text(encoding="utf-8"), str(file)).flaws == ()


@pytest.mark.parametrize("value", ['!!int ""', "!!timestamp tomorrow", "!!float x", "2026-02-31", "!!python/name:os x"])
def test_what_a_tag_promises_and_the_value_does_not_keep_is_a_problem_at_its_line(value):
    (line,) = said(f"a: 1\nb: {value}\n")
    assert line.startswith("g.yaml:2: b: not a value: ")


def test_a_file_is_read_only_if_it_is_one_and_ends(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(POLICY_BYTES + 1)
    found = {}
    for name in ("fifo", "huge", "none", ".", "/dev/zero"):
        with pytest.raises(PolicyError) as refused:
            read(tmp_path / name)
        found[name] = refused.value.problems[0].found
    assert found == {
        "fifo": "cannot be read: not a regular file",
        "huge": "cannot be read: larger than 8 MiB",
        "none": "cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
        "/dev/zero": "cannot be read: not a regular file",
    }


def test_line_ends_of_every_kind_are_read_alike(tmp_path):
    (tmp_path / "g.yaml").write_bytes(b"a: 1\r\nb: |\r\n  x\r\n  y\r\n")
    assert read(tmp_path / "g.yaml").data == {"a": 1, "b": "x\ny\n"}


def test_where_nothing_can_be_is_told_apart_from_where_nothing_is(tmp_path):
    assert unusable(str(tmp_path / "later.yaml")) is None
    assert unusable(str(tmp_path)) is None
    assert unusable("a\0b") == unusable("a\ud800") == "not the name of a file"
    assert unusable("x" * 300) == "File name too long"


def test_a_problem_shows_neither_user_nor_password_of_a_url():
    problem = Problem("g.yaml", 1, "upstream", "'http://u:SECRET@h' is listen", "https://u:SECRET@h", "ftp://SECRET@h")
    assert "SECRET" not in str(problem)
    assert str(problem) == (
        "g.yaml:1: upstream: 'http://...@h' is listen; allowed: https://...@h; did you mean 'ftp://...@h'?"
    )


def test_whatever_goes_wrong_is_a_problem_that_tells_its_name_alone():
    with pytest.raises(PolicyError) as refused, foreseen("g.yaml"):
        raise OverflowError("SECRET")
    assert str(refused.value) == "g.yaml: document: cannot be loaded: OverflowError"
    assert isinstance(refused.value.__cause__, OverflowError)
