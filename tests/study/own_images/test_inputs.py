import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.acquisition import echo_time_ms
from segsrgan_study.own_images.failures import LOCKED
from segsrgan_study.own_images.inputs import find_images
from segsrgan_study.own_images.names import WITHDRAWN, other_kind
from tests.core.test_segmenter import head


@pytest.fixture
def find(tmp_path):
    """Find images; return the source of each by its name."""
    return lambda *inputs, **options: {one.name: one.source for one in find_images(inputs, tmp_path, **options)[0]}


@pytest.fixture
def image(tmp_path, save):
    return lambda name: save(head(), tmp_path / name)


@pytest.fixture
def folder_of(tmp_path):
    """Return a function that makes a folder of empty files."""

    def make(files):
        for file in files:
            (tmp_path / "all" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "all" / file).touch()
        return tmp_path / "all"

    return make


@pytest.mark.parametrize(
    ("file", "name"),
    [
        *((f"a.{end}", "sub-a") for end in ("nii", "nii.gz", "mgz", "img", "hdr")),
        ("sub-01_ses-2_acq-te120_T2w.nii.gz", "sub-01_ses-2_acq-te120"),
        ("sub-01_desc-restore_T2w.nii", "sub-01_acq-descrestore"),
        ("sub-01_run-2_ses-1_T2w.mgz", "sub-01_ses-1_run-2"),
        ("sub-01_te-120_T2w.nii", "sub-01_acq-te120"),
        ("sub-01_repeat_T2w.nii", "sub-01_acq-repeat"),
        ("Baby 12 T2.nii.gz", "sub-Baby12T2"),
    ],
)
def test_an_image_in_any_format_under_any_name(find, tmp_path, file, name):
    assert find(tmp_path / file) == {name: file}


def test_an_image_given_twice_is_one_and_another_of_its_name_fails(find, image, tmp_path):
    image("a.img")
    assert find(*sorted(tmp_path.glob("a.*"))) == {"sub-a": "a.img"}
    path = image("in/sub-01_T2w.nii.gz")
    assert list(find(tmp_path / "in", path)) == ["sub-01"]
    (_,), (failure,) = find_images([tmp_path / "T2.nii.gz", tmp_path / "a" / "T2.nii.gz"], tmp_path)
    assert "CSV table" in failure.reason
    echoes = [tmp_path / place for place in ("P1/x_te80.nii", "P1/x_te90.nii", "P2/x_te85.nii")]
    images, (failure,) = find_images(echoes, tmp_path)
    assert [one.name for one in images] == ["sub-x_acq-te80", "sub-x_acq-te90"]
    assert "in another folder" in failure.reason
    assert len(find_images(echoes, tmp_path, te_ms=85)[0]) == 2  # nobody is lost; P2's fails as before


def test_a_table_names_subjects_sessions_and_repeated_scans(find, image, tmp_path):
    image("in/P1/t2.nii.gz")
    image("in/P2/t2.nii.gz")
    table = tmp_path / "list.csv"
    table.write_text("image,subject,session,run,cohort\nin/P1/t2.nii.gz,A1,2,1,x\n")
    assert find(tmp_path / "in" / "P1", table) == {"sub-A1_ses-2_run-1": "in/P1/t2.nii.gz"}  # in any order
    table.write_text("image,age_weeks\nin/P2/t2.nii.gz,40\n")
    assert [one.age_weeks for one in find_images([tmp_path / "in" / "P2", table], tmp_path)[0]] == [40]
    table.write_text("image,subject,session\nin/P1,A1,1\nin/P2,A1,2\n")
    assert list(find(table)) == ["sub-A1_ses-1", "sub-A1_ses-2"]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("file\na.nii\n", "column 'image'"),
        ("image\na\0.nii\n", "line 2: .*cannot be read"),
        ("image\nDOE_JANE\n", "line 2: 'DOE_JANE' is no image"),
        ("image\nmasks\n", "line 2: masks: there are 0 images"),
        (f"image\n{'a' * 999}.nii\n", "line 2: .*cannot be read"),
        ("image,subject\na.nii,P1\n,P2\n", "line 3: no image"),
        ("image,subject\na.nii,P1\nb.nii,\n", "line 3: no subject"),
        ("image,subject\na.nii,1.0\n", "line 2: subject '1.0'"),
        ("image,subject\na.nii,Анна\n", "line 2: subject 'Анна'"),
        *((f"image,age_weeks\na.nii,{age}\n", "line 2: age_weeks") for age in ("3", "39+7", "-2", "39 weeks", "450")),
        ('image,age_weeks\na.nii,"39,5"\n', "line 2: age_weeks"),
        ("image,age_weeks\na.nii,00\n", "line 2: age_weeks"),
        ('image\na.nii\n"' + 40_000 * "b.nii\n", "line 3: field larger.*quotation marks"),
        ("image\n" + 500 * "a,b\n", "501 faults"),
    ],
)
def test_a_faulty_table_is_refused_by_its_line(find, image, tmp_path, table, says):
    image("masks/P1_mask.nii.gz")
    (tmp_path / "list.csv").write_text(table)
    with pytest.raises(UserError, match=says):
        find(tmp_path / "list.csv")


def test_a_folder_gives_its_images_and_names_what_it_leaves_out(find, image, tmp_path, capsys):
    for name in ("P0.mgz", "P1.nii.gz", "P6_mask.nii.gz"):
        image(f"in/{name}")
    for name in ("P2.nrrd", "P3.img", "P4.zip", "P5.img.gz", "notes.txt"):
        (tmp_path / "in" / name).touch()
    assert list(find(tmp_path / "in")) == ["sub-P0", "sub-P1"]
    said = capsys.readouterr().err
    assert [f"P{n}" in said for n in range(7)] == [False, False, True, True, True, True, True]
    assert "left out: " in said
    assert "notes" not in said


@pytest.mark.parametrize(
    ("word", "options", "says"),
    [
        ("in", {}, "no image to work on"),
        ("in/P1.nii", {"series": "3"}, "no DICOM folder to choose of"),
        ("in/P1.nii", {"split": "test"}, "no cohort and no manifest"),
        ("", {}, "empty text"),
        ("nothing", {}, "nothing: nothing is there"),
    ],
)
def test_nothing_to_work_on_is_one_sentence(find, image, tmp_path, monkeypatch, word, options, says):
    image("in/P1_mask.nii.gz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        find(word, **options)


def test_an_input_that_is_none_stops_no_other(image, tmp_path, capsys):
    (tmp_path / "notes.txt").touch()
    os.mkfifo(tmp_path / "pipe.nii")
    words = [tmp_path / "notes.txt", tmp_path / "pipe.nii", image("P1.nii")]
    images, failures = find_images(words, tmp_path)
    assert [one.name for one in images] == ["sub-P1"]
    assert [one.source for one in failures] == ["input 1", "pipe.nii"]
    assert "notes.txt: this is not an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x" * 230 + ".nii", "too long"),
        ("a\udcff.nii", "UTF-8"),
        *((f"sub-01_{word}.nii", f" {word},") for word in ("T1w", "T2map", "UNIT1", "PDT2", "phasediff")),
        ("P1_t2_FLAIR_ax.nii", "FLAIR"),
        ("P1_T1_reoriented.nii", "T1"),
        ("sub-01_part-phase_T2w.nii", "part-phase"),
        ("sub-01_space-MNI152_T2w.nii", "space-MNI152"),
        ("P1_T2_3_Eq_1.nii", "Eq"),
    ],
)
def test_an_image_that_its_name_rules_out_fails_alone(tmp_path, name, says):
    images, ((source, reason, *_),) = find_images([tmp_path / name, tmp_path / "b.nii"], tmp_path)
    assert [image.name for image in images] == ["sub-b"]
    assert source == name
    assert says in reason


def test_what_a_name_or_a_description_says_of_the_contrast():
    others = "T2 map,T2map_ax,T2*,T2s,ep2d_diff,ep2d_tra_TRACEW,t2 trace,B1000t,STIR cor,t2_tirm_tra,T2 subtraction"
    others += ",SWIp,Localizer,eADC,perf,PD,T2 MIP,t2_fl2d_tra_hemo,FA,R2S,P1_T1"
    assert [name for name in others.split(",") if not other_kind(name)] == []
    t2w = "T2,T2w,t2_tse_tra,T2_haste,ssfse,T2 PROPELLER,sub-MIP_T2w,B100_T2,P1_r2_T2,Stirling_T2,Fabian,FA12,P1_R2"
    assert [name for name in t2w.split(",") if other_kind(name)] == []


MANIFEST = """cohort,subject,session,split,image,labels,mask,te_ms,tr_ms,age_weeks,site,sha256
ours,P_1,ses-2,variability,ours/a/t2.nii,,,120,,,,
ours,P_1,ses-2,variability,ours/b/t2.nii,,,200,,,,
ours,P.2,,test,ours/c/t2.nii,ours/c/l.nii,,,,,,
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    (tmp_path / "data_manifests").mkdir()
    (tmp_path / "data_manifests" / "ours.csv").write_text(MANIFEST)
    monkeypatch.delenv("SEGSRGAN_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize("word", ["ours", "data_manifests/ours.csv"])
def test_a_cohort_by_its_name_or_its_manifest(find, word):
    assert find(word) == {
        "sub-P2": "ours/c/t2.nii",
        "sub-P1_ses-2_acq-te120": "ours/a/t2.nii",
        "sub-P1_ses-2_acq-te200": "ours/b/t2.nii",
    }
    assert find(word, split="test") == {"sub-P2": "ours/c/t2.nii"}
    with pytest.raises(UserError, match="'train'"):
        find(word, split="train")


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["T2.nii.gz", "P1/t2.NII.GZ", "P2/2020/t2.nii"], ["sub-P1", "sub-P22020", "sub-T2"]),
        (["P1/t2.nii", "P1/t2_tse.nii", "P1/T1.nii", "P1/brain_mask.nii"], ["sub-P1", "sub-P1tse"]),
        (["site/P1.nii", "site/P2.nii"], ["sub-siteP1", "sub-siteP2"]),
        (["P1_te15.nii", "P1_te120.nii", "masks/P1.nii"], ["sub-P1_acq-te120", "sub-P1_acq-te15"]),
        (["t2_te120_P1.nii", "t2_te120_P2.nii", "t2_te80.nii"], ["sub-t2te120P1", "sub-t2te120P2", "sub-t2te80"]),
        (["A_TR001.nii", "A_TE002.nii", "A_tr30_te15.nii"], ["sub-ATE002", "sub-ATR001", "sub-A_acq-tr30te15"]),
        (["sub-1/anat/sub-1_T2w.nii", "sub-1/func/sub-1_bold.nii", "derivatives/x/sub-1_T2w.nii"], ["sub-1"]),
        (["sub-2/anat/sub-2_acq-x_T2w.nii.gz", "sub-2/sub-2_T1w.nii"], ["sub-2_acq-x"]),
        (["sub-1_desc-a_T2w.nii", "sub-1_desc-b_T2w.nii"], ["sub-1_acq-desca", "sub-1_acq-descb"]),
        (["sub-1_T2w.nii", "sub-1_desc-segsrgan_T2w.nii", "._sub-1_T2w.nii"], ["sub-1"]),
        (["sub-1/ses-2/t2.nii", "ses-3/sub-1_ses-3.nii"], ["sub-1_ses-2", "sub-1_ses-3"]),
        (["P1_T1_T2w.nii", "P1_T2_T2w.nii", "fmap/P1_x.nii", "T1w/P1.nii"], ["sub-P1T1T2w", "sub-P1T2T2w"]),
        (["sub-1_T2w.nii", "sub-1_space-orig_T2w.nii", "sub-1_part-real_T2w.nii"], ["sub-1", "sub-1_acq-spaceorig"]),
    ],
)
def test_every_image_of_a_folder_has_a_name_of_its_own(find, folder_of, files, names):
    assert sorted(find(folder_of(files))) == names


def test_links_to_folders_are_followed_and_circles_end(find, image, tmp_path):
    image("there/P1/t2.nii")
    (tmp_path / "all").mkdir()
    for name, target in (("P1", "there/P1"), ("circle", "all"), ("again", "there/P1")):
        (tmp_path / "all" / name).symlink_to(tmp_path / target)
    (tmp_path / "all" / "P9.nii").symlink_to(tmp_path / "all" / "P9.nii")  # fails alone when it is read
    assert len(find(tmp_path / "all")) == 2


def test_a_folder_that_cannot_be_read_fails_alone(image, tmp_path, monkeypatch, capsys):
    image("in/P1.nii")
    (tmp_path / "in" / "locked").mkdir()
    scan, denied = os.scandir, PermissionError(13, "Permission denied", str(tmp_path / "in" / "locked"))
    either = Mock(side_effect=lambda path: scan(path) if "locked" not in str(path) else either.fail())
    either.fail.side_effect = denied
    monkeypatch.setattr(os, "scandir", either)
    images, failures = find_images([tmp_path / "in"], tmp_path)
    assert ([one.name for one in images], len(failures)) == (["sub-P1"], 1)
    monkeypatch.setattr(os, "access", lambda path, how: "locked" not in str(path))
    (tmp_path / "list.csv").write_text("image,subject\nin/locked,A\nin/P1.nii,B\nDOE_JANE,C\n")
    images, ((source, why, *_),) = find_images([tmp_path / "list.csv"], tmp_path)
    assert ([one.source for one in images], source, why) == (["in/P1.nii", "sub-C"], "sub-A", LOCKED)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["P 1/t2.nii", "P1/t2.nii"], "one subject"),
        (["P1.nii", "p1.nii"], "one subject"),
        (["Анна.nii", "P1.nii"], "Latin"),
        (["sub-1/anat/sub-2_T2w.nii", "sub-2/anat/sub-2_run-2_T2w.nii"], "different subjects"),
        (["sub-1/ses-1/sub-1_ses-2_T2w.nii", "sub-1/ses-1/sub-1_ses-1_T2w.nii"], "different subjects or sessions"),
        (["A/sub-1/ses-1/anat/sub-1_ses-1_T2w.nii", "B/sub-1/ses-2/anat/sub-1_ses-2_T2w.nii"], "folder or data set"),
        (["A/sub-1_acq-ax_T2w.nii", "B/sub-1_acq-cor_T2w.nii"], "folder or data set"),
    ],
)
def test_two_people_never_share_a_name(folder_of, tmp_path, files, reason):
    images, ((_, why, *_),) = find_images([folder_of(files)], tmp_path)
    assert len(images) == 1
    assert reason in why


def test_tables_as_programs_write_them(find, image, tmp_path):
    path = image("in/Bäby, 1/t2.nii")
    rows = ["Participant_ID,image,,", '007,"in/Bäby, 1",,', f"1e5,{image('a.nii')},,", "sub-X,~/x.nii"]
    (tmp_path / "list.csv").write_text("\r\n".join(rows), encoding="utf-8-sig")
    assert find(tmp_path / "list.csv") == {"sub-007": "in/Bäby, 1/t2.nii", "sub-1e5": "a.nii", "sub-X": "x.nii"}
    (tmp_path / "twice.csv").write_text(f'image,subject\n"{path}",A\n"{path}",B\n')
    images, (failure,) = find_images([tmp_path / "twice.csv"], tmp_path)
    assert (images, "as sub-A (age unknown) and as sub-B" in failure.reason) == ([], True)
    (tmp_path / "ages.csv").write_text("image,subject,age_weeks\na.nii,A,30\na.nii,A,30\na.nii,A,40\n")
    _, (failure,) = find_images([tmp_path / "ages.csv", "~nobody/b.nii"], tmp_path)
    assert "(age 30.0) and as sub-A (age 40.0)" in failure.reason
    (tmp_path / "part.csv").write_text("image,subject,part\na.nii,A,phase\nb.nii,B,mag\n")
    (image,), (failure,) = find_images([tmp_path / "part.csv"], tmp_path)
    assert (image.name, "says part-phase" in failure.reason) == ("sub-B_part-mag", True)


def test_echoes_are_chosen_by_time(find, image, tmp_path):
    for name, te in (("sub-1_echo-1", 0.015), ("sub-1_echo-2", 0.119), ("sub-2_acq-te122", None), ("sub-3", 0.08)):
        text = "{broken" if te is None else f'{{"EchoTime": {te}}}'
        image(f"in/{name}_T2w.nii").with_suffix(".json").write_text(text)
    images, (failure,) = find_images([tmp_path / "in"], tmp_path, te_ms=120)
    assert [one.name for one in images] == ["sub-1_echo-2", "sub-2_acq-te122"]
    assert "80 ms" in failure.reason
    assert echo_time_ms(tmp_path / "TE001_te120.nii") == 120
    people = [tmp_path / name for name in ("P 1_te118.nii", "P1_te120.nii")]
    assert [len(found) for found in find_images(people, tmp_path, te_ms=120)] == [1, 1]  # nobody is lost


def test_subjects_and_sessions_are_chosen_by_their_labels(find, tmp_path):
    files = [tmp_path / f"sub-0{sub}_ses-{ses}_T2w.nii" for sub in "123" for ses in "12"]
    assert list(find(*files, participants=["01", "sub-03"], sessions=["2"])) == ["sub-01_ses-2", "sub-03_ses-2"]
    with pytest.raises(UserError, match="--participant-label 1: not there; give one of: 01, 02, 03"):
        find(*files, participants=["1"])


@pytest.mark.parametrize(("cell", "weeks"), [("39.5", 39.5), ("39+2", 39.2857), ("n/a", WITHDRAWN), ("", WITHDRAWN)])
def test_the_age_of_a_table(tmp_path, cell, weeks):
    (tmp_path / "list.csv").write_text(f"image,subject,age_weeks\na.nii,P1,{cell}\n")
    ((image,), _) = find_images([tmp_path / "list.csv"], tmp_path)
    assert image.age_weeks == pytest.approx(weeks)


def test_the_ages_of_bids_tables_and_of_a_manifest(image, tmp_path, monkeypatch, capsys):
    paths = [image(f"bids/sub-{one}/anat/sub-{one.replace('/', '_')}_T2w.nii") for one in ("01", "02/ses-1", "03")]
    rows = "participant_id\tage\tscan_age\nsub-01\t2\t40.5\nsub-03\t0\t40.5\nsub-03\t0\t30.5\n"  # two ages are none
    rows += f"sub-04\t{'9' * 200_000}\n"
    monkeypatch.chdir(tmp_path)
    told = 'participant_id\tScan_Age\nsub-01\t39,3\n"sub-02"\t"30"\nsub-03\tn/a\n'
    for age, known in (("282", WITHDRAWN), ("n/a", 30.0)):
        (tmp_path / "bids" / "participants.tsv").write_text(told)
        (tmp_path / "bids" / "sub-02" / "sub-02_sessions.tsv").write_text(f"session_id\tscan_age\nses-1\t{age}\n")
        assert [one.age_weeks for one in find_images(["bids"], tmp_path)[0]] == [WITHDRAWN, known, None]
    said = capsys.readouterr().err
    assert "participants.tsv: line 2: the age '39,3' is not used" in said
    assert "sub-02_sessions.tsv: line 2: the age '282' is not used" in said
    (tmp_path / "bids" / "participants.tsv").write_text(told.replace("sub-", "SUB-"))
    find_images(["bids"], tmp_path)
    assert "but none of sub-03" in capsys.readouterr().err
    (tmp_path / "bids" / "participants.tsv").write_text(rows)
    (tmp_path / "bids" / "sub-02" / "sub-02_sessions.tsv").write_text("session_id\tscan_age\nses-1\t31.0\n")
    for given in ([tmp_path / "bids"], paths, [Path("bids")]):
        images, _ = find_images(given, tmp_path)
        assert [one.age_weeks for one in images] == [40.5, 31.0, WITHDRAWN]
    image("bids/sub-01/ses-2/anat/sub-01_ses-2_T2w.nii")
    image("bids/sub-01/ses-1/anat/sub-01_ses-1_T2w.nii")  # of two visits, which had the age?
    assert [one.age_weeks for one in find_images(["bids"], tmp_path)[0]] == [WITHDRAWN] * 3 + [31.0, WITHDRAWN]
