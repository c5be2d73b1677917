import re

from tests.faults.fault import changed, each, fault, files_below, segsrgan, sentence_about
from tests.settings import PARAMS


def _set(text: str, key: str, value: str, new_key: str = "") -> bytes:
    return changed(text, rf"\b{key}: [^\s,}}]+", f"{new_key or key}: {value}")


PARAMETERS = [
    fault("no_yaml", "not YAML", changed, "seed: 2021", "seed: [2021"),
    fault("latin_1", "not YAML in UTF-8", lambda text: "# Orl\xe9ans".encode("latin-1")),
    fault("empty", "holds NoneType in place of keys and values", lambda text: b""),
    fault("brackets_without_end", "not YAML", lambda text: b"[" * 5000),
    fault("code", "python/object/apply", changed, "seed: 2021", "seed: !!python/object/apply:os.getpid []"),
    fault("key_misspelt", "did you mean 'epochs'", _set, "epochs", "6", "epoch"),
    fault("section_misspelt", "did you mean 'inference'", changed, "\ninference:", "\ninferrence:"),
    fault("key_twice", "'seed' stands twice", changed, "seed: 2021", "seed: 2021\nseed: 2022"),
    fault("setting_misspelt", "did you mean 'paper'", changed, "setting: quick", "setting: papr"),
    fault("setting_missing", "None is not one of quick, paper", changed, "setting: quick", "setting:"),
    fault("key_misspelt_in_the_setting", "did you mean 'batch'", changed, "quick: {}", "quick: {training: {bath: 3}}"),
    fault("setting_without_keys", "settings.quick: 3 is not keys", changed, "quick: {}", "quick: 3"),
    fault("settings_a_list", "not a mapping of names", changed, "settings:", "settings: [1]\nothers:"),
    fault("section_a_number", "training: should be", changed, "\ntraining:", "\ntraining: 3\nothers:"),
    fault("text_for_a_number", "a valid number", _set, "learning_rate", "fast"),
    fault("truth_for_a_number", "not a truth value", _set, "epochs", "yes"),
    fault("fraction_for_a_count", "a valid integer", _set, "epochs", "6.5"),
    fault("nan", "a finite number", _set, "slice_mm", ".nan"),
    fault("negative", "greater than 0", _set, "slice_mm", "-3"),
    fault("zero", "greater than or equal to 1", changed, "batch: 1 ", "batch: 0 "),
    fault("too_large", "less than or equal to 1", _set, "decay", "50"),
    fault("no_multiple", "multiple of 16", changed, "patch: 64", "patch: 60"),
    fault("unknown_word", "'residual', 'unet' or 'two_unets'", changed, "generator: unet", "generator: resnet"),
    fault("range_upside_down", "low <= high", changed, "thickness_mm: null", "thickness_mm: [4.0, 2.0]"),
    fault("range_of_one", "thickness_mm", changed, "thickness_mm: null", "thickness_mm: [3.0]"),
    fault("word_for_a_list", "a valid list", changed, r"\[cortex\]", "cortex"),
    fault("no_classes", "at least 1 item", changed, r"\[cortex\]", "[]"),
    fault("cohort_a_path", "should match pattern", changed, "cohort: embedded", "cohort: ../../etc"),
    fault("slices_thinner_than_voxels", "is above simulation.slice_mm", _set, "slice_mm", "0.3"),
]


@each(PARAMETERS)
def test_a_faulty_setting_is_one_sentence(fault, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_bytes(fault.make(PARAMS.read_text(encoding="utf-8")))
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    sentence = sentence_about("params.yaml: ", segsrgan("phantoms", code=2))
    assert re.search(fault.says, sentence), sentence
    assert files_below(tmp_path) == ["dvc.yaml", "params.yaml"]
