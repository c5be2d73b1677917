from pathlib import Path

import pytest

from segsrgan_study.own_images.names import name_of_file, name_of_row


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-01_ses-2_acq-te120_T2w.nii.gz", "sub-01_ses-2_acq-te120"),
        ("sub-01_desc-restore_T2w.nii", "sub-01_acq-descrestore"),
        ("sub-01_run-2_ses-1_T2w.mgz", "sub-01_ses-1_run-2"),
        ("sub-01_te-120_T2w.nii", "sub-01_acq-te120"),
        ("sub-01_repeat_T2w.nii", "sub-01_acq-repeat"),
        ("sub-01.nii", "sub-01"),
        ("Baby 12 T2.nii.gz", "sub-Baby12T2"),
    ],
)
def test_entities_of_any_file(name, expected):
    assert name_of_file(Path("folder") / name) == expected


def test_entities_of_a_row():
    assert name_of_row("sub-A_1", "ses-2", 120.0) == "sub-A1_ses-2_acq-te120"
    assert name_of_row("fetal.30") == "sub-fetal30"
