import numpy as np
import pandas as pd
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.manifest import COLUMNS, check_files, image_rows, read_manifest, validated, write_manifest

HEADER = ",".join(COLUMNS[:-2])
GOOD = "mine,s1,,train,mine/a.nii,mine/a_seg.nii,,,,,,"


def row(**cells):
    base = dict.fromkeys(COLUMNS, "") | {"cohort": "mine", "subject": "s1", "split": "train"}
    return base | {"image": "mine/a.nii", "labels": "mine/a_seg.nii"} | cells


def test_reads_what_it_wrote(tmp_path):
    rows = [row(te_ms=120.0, age_weeks=37.7143, session=None, site="Paris, 14e"), row(image="mine/0.nii")]
    path = write_manifest(pd.DataFrame(rows), tmp_path / "mine.csv")
    read = read_manifest(path)
    assert tuple(read.columns) == COLUMNS
    first, second = image_rows(read, "train")
    assert second.image == "mine/0.nii"
    assert (first.te_ms, first.age_weeks, first.session, first.site) == (120.0, 37.7143, "", "Paris, 14e")
    assert np.isnan(first.tr_ms)
    assert first.files == {"image": "mine/a.nii", "labels": "mine/a_seg.nii"}
    again = path.read_bytes()
    assert write_manifest(read, path).read_bytes() == again


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_the_rows_given_does_not_matter(seed):
    echoes = [1000.0, 120.0, 200.0, 36.5]
    frame = pd.DataFrame([row(split="variability", labels="", te_ms=te, image=f"mine/{te:g}.nii") for te in echoes])
    assert validated(frame)["te_ms"].tolist() == sorted(echoes)
    pd.testing.assert_frame_equal(validated(frame.sample(frac=1, random_state=seed)), validated(frame))


def test_an_unknown_split_is_neither_written_nor_read(tmp_path):
    with pytest.raises(UserError, match="split: expected one of train, val, test, variability; received 'tset'"):
        write_manifest(pd.DataFrame([row(split="tset")]), tmp_path / "mine.csv")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="'training' is not one of"):
        image_rows(validated(pd.DataFrame([row()])), "training")


def test_all_faults_at_once_by_the_line_of_the_editor(tmp_path):
    header, path = HEADER.replace("site,", "").replace("session", "sesion"), tmp_path / "mine.csv"
    path.write_text(f'{header}\nmine,"s\n1",,train,mine/a.nii,,,,,,\n\nmine,s2,,no,mine/b.nii,,,x,,,')
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    title, *found = str(caught.value).split("\n- ")
    assert title.startswith(f"{path}: {len(found)} fault")
    first = ["line 1: the column 'session'", "line 1: the column 'site' is", "line 1: unknown column 'sesi"]
    assert [text[:28] for text in found[:3]] == first
    assert [text.split(" (")[0] for text in found[3:]] == ["line 2", "line 5", "line 5"]


def test_what_excel_writes_as_utf_8(tmp_path):
    path = tmp_path / "bom.csv"
    path.write_text(f"{HEADER}\r\n{GOOD}\r\n{',' * 11}\r\n", encoding="utf-8-sig", newline="")
    assert len(read_manifest(path)) == 1


def test_truth_and_hemispheres_of_thick_slices_share_the_grid_of_the_labels(tmp_path, put):
    put(tmp_path / "mine/a.nii", affine=np.diag([0.5, 0.5, 3, 1]))
    fine = {"labels": "mine/a_seg.nii", "hr": "mine/a_hr.nii", "sides": "mine/a_sides.nii"}
    for name, numbers in (("a_seg", [0, 1, 2]), ("a_hr", ()), ("a_sides", [0, 1, 2])):
        put(tmp_path / f"mine/{name}.nii", numbers, shape=(5, 6, 24))
    manifest = validated(pd.DataFrame([row(split="variability", te_ms=120, **fine)]))
    check_files(manifest, tmp_path, {0: 0, 1: 1, 2: 2})
    put(tmp_path / "mine/a_hr.nii")
    put(tmp_path / "mine/a_sides.nii", [0, 1, 3], shape=(5, 6, 24))
    with pytest.raises(UserError, match=r"a_sides.nii: 3 is there(.|\n)*a_hr.nii: the grid is not"):
        check_files(manifest, tmp_path, {0: 0, 1: 1, 2: 2})
    with pytest.raises(UserError, match="in variability alone"):
        validated(pd.DataFrame([row(hr="mine/a_hr.nii")]))
