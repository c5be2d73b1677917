import re

from segsrgan_study.own_images.names import InputImage
from segsrgan_study.own_images.run import segment_all
from tests.core.test_segmenter import head


def page_of(job):
    return (job.out / "report.html").read_text()


def test_every_case_is_there_with_its_picture(cases, job):
    segment_all(cases, [], job)
    page = page_of(job)
    for case in cases:
        assert f'<article id="{case.name}">' in page
    for source in re.findall(r'(?:src|href)="([^"#][^"]*)"', page):
        assert (job.out / source).is_file(), source


def test_the_doubtful_come_first(cases, job, save):
    save(head(thickness=6.0), cases[2].file)
    segment_all(cases, [], job)
    page = page_of(job)
    assert "1 to look at first" in page
    assert re.findall('<article id="([^"]*)"', page) == ["sub-02", "sub-00", "sub-01"]


def test_it_needs_no_network(cases, job):
    segment_all(cases, [], job)
    assert "//" not in re.sub(r"<!--.*?-->", "", page_of(job), flags=re.DOTALL)


def test_failures_are_told_and_escaped(cases, job, tmp_path):
    missing = tmp_path / "a<b>.nii"
    segment_all([*cases, InputImage(missing, "sub-ab", missing.name)], [], job)
    page = page_of(job)
    assert "1 failed" in page
    assert "a&lt;b&gt;.nii" in page
    assert "<b>.nii" not in page


def test_different_weights_on_one_page_are_told(cases, job):
    segment_all(cases[:2], [], job)
    assert "different weights" not in page_of(job)
    (job.model / "generator.npz").write_bytes(b"others")
    segment_all(cases[2:], [], job)
    assert "different weights" in page_of(job)
