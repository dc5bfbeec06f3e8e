"""From a configured model to its licenses: by what is stated, by names and revisions, by the license file, by teachers."""

import os
from hashlib import sha256

import pytest

from guard.licensing.license import Derivation, License, LicenseFile, OutputRule, OutputUse, Status
from guard.licensing.text import words_digest
from guard.policy.document import PolicyError
from guard.policy.load import load
from guard.policy.packs import shipped_packs
from guard.policy.reading import LICENSE_BYTES
from guard.policy.resolution import license_text, stack_of
from guard.policy.settings.models import ModelConfig

OLD, NEW = "OLD TERMS\n1. You may not.\n", "NEW TERMS\n1. You may.\n"


def pack(id_, text, **facts):
    file = LicenseFile("org/model, LICENSE", Status.COPY, words_sha256=words_digest(text))
    return License(id_, id_, "2026-01-01", Status.COPY, "org", "org", files=(file,), **facts)


PACKS = {
    "old": pack("old", OLD, models=("org/model@1*", "org/both")),
    "new": pack("new", NEW, models=("org/model", "org/both")),
    "passes-on": pack(
        "passes-on", "PASSES ON", models=("org/teacher",), output_use=OutputUse(OutputRule.TRAINED_MODEL_INHERITS)
    ),
    "mixed": pack("mixed", "MIXED", derived=(Derivation(("org/merge",), ("old", "new")),)),
}


@pytest.mark.parametrize(("name", "model", "stacks"), [
    ("served", {"license": "old"}, [("old",)]),
    ("org/model", {}, [("new",)]),
    ("org/model", {"revision": "2b"}, [("new",)]),
    ("org/model", {"revision": "1a2b"}, [("old",)]),
    ("served", {"base": "org/merge"}, [("old", "new")]),
    ("served", {"base": ["org/model", "org/teacher"]}, [("new", "passes-on")]),
    ("org/both", {}, [("new",), ("old",)]),
    ("served", {}, []),
    ("org/model", {"outputs_of": "org/teacher"}, [("new", "passes-on")]),
    ("served", {"license": "old", "outputs_of": ["passes-on", "new"]}, [("old", "passes-on")]),
])  # fmt: skip
def test_names_revisions_and_teachers_tell_the_stack(name, model, stacks):
    assert stack_of(name, ModelConfig(**model), PACKS) == stacks


@pytest.mark.parametrize(("name", "text", "stacks"), [
    ("org/both", OLD, [("old",)]),
    ("org/both", NEW.upper().replace("\n", "  "), [("new",)]),
    ("org/both", "SOMETHING ELSE", [("new",), ("old",)]),
    ("served", OLD, [("old",)]),
    ("served", "SOMETHING ELSE", []),
    ("org/model", OLD, [("new",)]),
])  # fmt: skip
def test_the_license_file_settles_what_names_leave_open(name, text, stacks, tmp_path):
    (tmp_path / "LICENSE").write_text(text)
    model = ModelConfig(license_file=str(tmp_path / "LICENSE"))
    assert stack_of(name, model, PACKS) == stacks


def test_a_stated_digest_is_compared_with_the_bytes_that_packs_know():
    known = pack("known", OLD, models=("org/both",))
    byte_file = LicenseFile("org/both, LICENSE", Status.CONFIRMED, sha256=sha256(OLD.encode()).hexdigest())
    packs = {**PACKS, "known": License("known", "Known", "", Status.CONFIRMED, "org", "org", files=(byte_file,))}
    model = ModelConfig(license_sha256=sha256(OLD.encode()).hexdigest())
    assert stack_of("served", model, packs) == [("known",)]
    assert stack_of("served", model, {"known": known}) == []


PACK = """\
id: acme-1.0
name: Acme
date: "2026-03-01"
status: confirmed
family: acme
version: acme
sources: [Acme]
files: [{where: "acme/m, LICENSE", words_sha256: %s, status: copy}]
output_use: {rule: unrestricted, status: confirmed}
"""


def served(write, extra="", license_text=OLD):
    write(PACK % words_digest(OLD), "packs/acme-1.0.yaml")
    write(license_text, "weights/LICENSE")
    return write(f"policies: [packs]\nmodels:\n  m:\n    license: acme-1.0\n    license_file: weights/LICENSE\n{extra}")


def drifted(loaded):
    return [warning for warning in loaded.snapshot.warnings if "license file" in warning]


def test_the_text_that_the_pack_was_read_from_raises_no_alarm(write):
    loaded = load(served(write, license_text=OLD.lower()))
    assert loaded.snapshot.license_drift == {"acme-1.0": False}
    assert drifted(loaded) == []


def test_another_text_beside_the_weights_raises_the_alarm(write, tmp_path):
    loaded = load(served(write, license_text=NEW))
    assert loaded.snapshot.license_drift == {"acme-1.0": True}
    assert drifted(loaded) == [
        (
            f"models.m: the license file {tmp_path}/weights/LICENSE is not the text of acme-1.0, as far as faithful copies "
            f"show it (SHA-256 {sha256(NEW.encode()).hexdigest()})"
        )
    ]


def test_what_somebody_read_and_pinned_is_what_counts(write):
    pinned = f"    license_sha256: {sha256(NEW.encode()).hexdigest()}\n"
    assert load(served(write, pinned, NEW)).snapshot.license_drift == {"acme-1.0": False}
    assert load(served(write, pinned, NEW + " ")).snapshot.license_drift == {"acme-1.0": True}


def test_a_license_file_that_changes_calls_for_a_reload(write, tmp_path):
    loaded = load(served(write))
    assert tmp_path / "weights/LICENSE" in loaded.watched
    hash_before = loaded.snapshot.hash
    write(NEW, "weights/LICENSE")
    assert load(tmp_path / "guard.yaml").snapshot.hash != hash_before


def problems(path):
    with pytest.raises(PolicyError) as caught:
        load(path)
    return [str(problem).replace(f"{path}:", "") for problem in caught.value.problems]


def test_a_license_file_that_is_not_there_is_a_problem(write, tmp_path):
    path = write("models:\n  m: {license: gemma, license_file: LICENSE}\n")
    assert problems(path) == [
        f"2: models.m.license_file: no file '{tmp_path}/LICENSE'; allowed: a file that can be read"
    ]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (os.mkfifo, "not a regular file"),
        (os.mkdir, "Is a directory"),
        (lambda path: path.write_bytes(bytes(LICENSE_BYTES + 1)), "larger than 4 MiB"),
    ],
)
def test_a_license_file_that_is_none_is_a_problem_and_nobody_waits_for_it(write, tmp_path, make, why):
    make(tmp_path / "LICENSE")
    assert license_text(ModelConfig(license_file=str(tmp_path / "LICENSE"))) is None
    path = write("models:\n  m: {license: gemma, license_file: LICENSE}\n")
    assert problems(path) == [
        f"2: models.m.license_file: '{tmp_path}/LICENSE' cannot be read: {why}; allowed: a file that can be read"
    ]


def test_training_on_outputs_that_the_license_forbids_is_a_problem(write):
    path = write("models:\n  my-model:\n    license: mistral-apache\n    base: mistralai/Mistral-7B-v0.1\n"
                 "    outputs_of: [llama-2, lama-3.1]\n")  # fmt: skip
    first, second = problems(path)
    assert first.startswith(
        "5: models.my-model.outputs_of[0]: license llama-2 forbids training this model on outputs of llama-2 (1.b.v): "
    )
    assert second == (
        "5: models.my-model.outputs_of[1]: 'lama-3.1'; allowed: a license id, or a repository that one pack lists; "
        "did you mean 'llama-3.1'?"
    )


def test_a_model_trained_on_llama_3_1_outputs_is_to_be_named_so(write):
    def named(name):
        path = write(f"models:\n  {name}: {{license: mistral-apache, outputs_of: llama-3.1}}\n")
        return [warning for warning in load(path).snapshot.warnings if "name" in warning]

    assert named("Llama-helper") == []
    assert named("helper") == [
        (
            "models.helper: license llama-3.1 wants the name to begin with 'Llama': it was trained on outputs of llama-3.1 "
            "(1.b.i)"
        )
    ]


def test_what_learned_from_gemma_is_under_gemmas_terms_too():
    model = ModelConfig(license=("mistral-apache",), outputs_of=("google/gemma-2-9b-it",))
    assert stack_of("m", model, shipped_packs()) == [("mistral-apache", "gemma")]
