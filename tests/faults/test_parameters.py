"""Every faulty params.yaml, as the first command of the study reads it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.fault import Fault, files_below, segsrgan, sentence_about

GOOD = Path(__file__).parents[2].joinpath("params.yaml").read_text(encoding="utf-8")


def _changed(old: str, new: str) -> Callable[[str], bytes]:
    def make(text: str) -> bytes:
        assert old in text, old
        return text.replace(old, new, 1).encode()

    return make


def _set(key: str, value: str, new_key: str = "") -> Callable[[str], bytes]:
    def make(text: str) -> bytes:
        changed, count = re.subn(rf"\b{key}: [^\s,}}]+", f"{new_key or key}: {value}", text, count=1)
        assert count, key
        return changed.encode()

    return make


PARAMETERS = [
    Fault("no_yaml", _changed("seed: 2021", "seed: [2021"), "not YAML"),
    Fault("a_tab", _changed("  patch:", "\tpatch:"), "not YAML"),
    Fault("latin_1", lambda text: "# Orl\xe9ans".encode("latin-1"), "not YAML in UTF-8"),
    Fault("empty", lambda text: b"", "holds NoneType in place of keys and values"),
    Fault("a_list", lambda text: b"- 1\n", "holds list in place of keys and values"),
    Fault("brackets_without_end", lambda text: b"[" * 5000, "not YAML"),
    Fault("code", _changed("seed: 2021", "seed: !!python/object/apply:os.getpid []"), "python/object/apply"),
    Fault("key_misspelt", _set("epochs", "6", "epoch"), "did you mean 'epochs'"),
    Fault("section_misspelt", _changed("\ninference:", "\ninferrence:"), "did you mean 'inference'"),
    Fault("key_twice", _changed("seed: 2021", "seed: 2021\nseed: 2022"), "'seed' stands twice"),
    Fault("key_missing", _changed("seed: 2021", ""), "seed: a value is missing"),
    Fault("setting_misspelt", _changed("setting: quick", "setting: papr"), "did you mean 'paper'"),
    Fault(
        "setting_missing", _changed("setting: quick", "setting:"), "None is not one of quick, paper, general, miniature"
    ),
    Fault("key_misspelt_in_the_setting", _changed("quick: {}", "quick: {training: {bath: 3}}"), "did you mean 'batch'"),
    Fault("setting_without_keys", _changed("quick: {}", "quick: 3"), "settings.quick: 3 is not keys"),
    Fault(
        "settings_a_list", _changed("settings:", "settings: [1]\nothers:"), "not a mapping of names to sets of changes"
    ),
    Fault("section_a_number", _changed("\ntraining:", "\ntraining: 3\nothers:"), "training: should be"),
    Fault("text_for_a_number", _set("learning_rate", "fast"), "a valid number"),
    Fault("comma_for_a_point", _set("spacing_mm", "0,8"), "a valid number"),
    Fault("truth_for_a_number", _set("epochs", "yes"), "not a truth value"),
    Fault("fraction_for_a_count", _set("epochs", "6.5"), "a valid integer"),
    Fault("nan", _set("slice_mm", ".nan"), "a finite number"),
    Fault("infinity", _set("learning_rate", ".inf"), "a finite number"),
    Fault("negative", _set("slice_mm", "-3"), "greater than 0"),
    Fault("zero", _changed("batch: 1 ", "batch: 0 "), "greater than or equal to 1"),
    Fault("too_large", _set("threshold", "50"), "less than 1"),
    Fault("no_multiple", _changed("patch: 64", "patch: 60"), "multiple of 16"),
    Fault("unknown_word", _changed("generator: unet", "generator: resnet"), "'residual' or 'unet'"),
    Fault("range_upside_down", _changed("thickness_mm: null", "thickness_mm: [4.0, 2.0]"), "low <= high"),
    Fault("range_of_one", _changed("thickness_mm: null", "thickness_mm: [3.0]"), "thickness_mm"),
    Fault("word_for_a_list", _changed("[cortex]", "cortex"), "a valid list"),
    Fault("no_classes", _changed("[cortex]", "[]"), "at least 1 item"),
    Fault("cohort_a_path", _changed("cohort: embedded", "cohort: ../../etc"), "should match pattern"),
    Fault("slices_thinner_than_voxels", _set("slice_mm", "0.3"), "is above simulation.slice_mm"),
]


@pytest.mark.parametrize("fault", PARAMETERS, ids=lambda fault: fault.name)
def test_a_faulty_setting_is_one_sentence(fault, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_bytes(fault.make(GOOD))
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    code, said = segsrgan("phantoms")
    assert code == 2
    sentence = sentence_about("phantoms:" if "<= simulation.slice_mm" in said else "params.yaml: ", said)
    assert re.search(fault.says, sentence), sentence
    assert files_below(tmp_path) == ["dvc.yaml", "params.yaml"]
