import pytest
import yaml

from segsrgan_study.verify.causes import (
    causes_in_the_environment,
    causes_in_the_repository,
    first_stage_that_differs,
)

HERE = {"cores": 2, "instructions": "amx_bf16", "python": "3.11", "versions": {"keras": "3.12", "numpy": "2.0"}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"changed deps": {"segsrgan_core/losses.py": "modified"}}, "code: segsrgan_core/losses.py changed after"),
        ({"changed deps": {"notebooks/02_train.ipynb": "modified"}}, "code: notebooks/02_train.ipynb changed after"),
        ({"changed deps": {"data_manifests/dhcp.csv": "modified"}}, "data: data_manifests/dhcp.csv changed after"),
        ({"changed deps": {"requirements.lock": "modified"}}, "version: requirements.lock of the libraries changed"),
        ({"changed deps": {"params.yaml": {"training.epochs": "modified"}}}, "parameter: training.epochs changed"),
        (
            {"changed outs": {"results/evaluation": "modified"}},
            "edited: results/evaluation is not what its",
        ),
        ("changed command", "code: the command in dvc.yaml"),
    ],
)
def test_a_cause_in_the_repository_is_told_by_its_kind(change, says):
    (cause,) = causes_in_the_repository({"train": [change]})
    assert cause.startswith(says)
    assert cause.endswith("(stage train)")


def test_what_every_fresh_clone_lacks_is_no_cause():
    status = {"train": [{"changed deps": {"data/prepared": "deleted"}}, {"changed outs": {"model": "not in cache"}}]}
    assert causes_in_the_repository(status) == []


def test_one_cause_in_several_stages_is_told_once():
    change = [{"changed deps": {"segsrgan_core/imaging": "modified"}}]
    (cause,) = causes_in_the_repository({"simulate": change, "train": change})
    assert cause.endswith("(stage simulate, train)")


def test_the_same_environment_is_no_cause():
    assert causes_in_the_environment(HERE, dict(HERE)) == []


def test_other_versions_and_hardware_are_told():
    other = {**HERE, "cores": 8, "python": "3.12", "versions": {"keras": "3.13", "numpy": "2.0", "scipy": "1.15"}}
    assert causes_in_the_environment(HERE, other) == [
        "hardware: cores 2 to 8",
        "version: python 3.11 to 3.12",
        "version: keras 3.12 to 3.13",
        "version: scipy None to 1.15",
    ]


def test_results_without_a_record_of_their_machine_are_of_another_one():
    assert "hardware: cores None to 2" in causes_in_the_environment({}, HERE)


def test_the_first_stage_that_differs_is_found():
    stages = {name: {"outs": [{"path": f"data/{name}", "md5": "aa"}]} for name in ("phantoms", "simulate", "train")}
    other = {**stages, "simulate": {"outs": [{"path": "data/simulate", "md5": "bb"}]}, "train": {}}
    texts = [yaml.safe_dump({"stages": one}, sort_keys=False) for one in (stages, other)]
    assert first_stage_that_differs(*texts) == "simulate"
    assert first_stage_that_differs(texts[0], texts[0]) == ""
