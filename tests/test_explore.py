import shutil

import nbformat
import pytest
from jupyter_client.manager import run_kernel

from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import save_model
from segsrgan_study.figures.viewing import side_by_side, three_dimensions
from segsrgan_study.files import save_image, write_csv
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.cases import CASES, PreparedCase, case_table
from tests.settings import ROOT, model_card, thick_slices
from tests.study.figures.conftest import head

HEAD, LABELS = head((36, 40, 30))
THICK = thick_slices(HEAD, 4.5)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """One test case, one patient without a known truth, and an untrained network."""
    here = Study(tmp_path_factory.mktemp("study"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, here.root)
    folder = here.work / "prepared"
    images = {"hr": HEAD, "labels": LABELS, "low": THICK}
    files = {key: save_image(image, folder / f"sub-01_{key}.nii.gz") for key, image in images.items()}
    cases = [
        PreparedCase(name="sub-01", stem="sub-01", split="test", **files),
        PreparedCase(name="sub-02", stem="sub-02_acq-te120", split="variability", te_ms=120, low=files["low"]),
    ]
    write_csv(folder / CASES, case_table(cases, folder))
    card = model_card(spacing_mm=1.5, thickness_mm=(4.5, 4.5))
    save_model(here.results / "training" / "model", build_generator(**card.generator, seed=1), card)
    return here


def execute(name: str, study: Study, *more: str) -> list[dict]:
    """Run a notebook and more cells; return what its cells and its widgets show."""
    book = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    shown = []
    with run_kernel(cwd=str(study.root)) as kernel:  # nbclient may miss the end of a cell whose widget shows a picture
        for source in [*(cell.source for cell in book.cells if cell.cell_type == "code"), *more]:
            kernel.execute_interactive(source, timeout=300, output_hook=shown.append)
    return [{**message["content"], "output_type": message["msg_type"]} for message in shown]


MORE = {
    "explore_subject": ("for one in cases:\n    segment(one)\n    numbers(one)\n    turn(one)", "look('sub-01', 0)"),
    "explore_te": ("compare(360, 4000)",),
    "explore_training": (
        "path = study.scratch / 'training' / 'abc.csv'\npath.parent.mkdir(parents=True)",
        "pd.DataFrame({'step': [1, 2], 'total': [9, 9], 'loss_rec': [0.2, 0.1]}).to_csv(path)",
        "follow(path, 1, 0)",
    ),
    "demo_your_image": (),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_a_notebook_runs_and_shows_pictures(name, study):
    shown = execute(name, study, *MORE[name])
    assert [out["traceback"] for out in shown if out["output_type"] == "error"] == []
    assert [out["text"] for out in shown if out.get("name") == "stderr" and "segsrgan" not in out["text"]] == []
    assert any("image/png" in out.get("data", {}) for out in shown)


def test_every_image_has_a_column_and_the_outlines_that_are_known():
    images = {"thick slices": THICK, "SegSRGAN": HEAD, "truth": HEAD}
    outlined = side_by_side(images, {"SegSRGAN": LABELS, "truth": LABELS}, uncertainty=HEAD).axes[:4]
    assert [ax.get_title() for ax in outlined] == [*images, "P(label is wrong)"]
    assert [len(ax.collections) for ax in outlined] == [0, 2, 2, 0]
    for place in (0.0, 1.0):  # both ends of the head
        plain = side_by_side({"thick slices": THICK}, place=place).axes
        assert [len(ax.collections) for ax in plain] == [0, 0, 0]
        assert all(ax.images[0].get_array().size for ax in plain)


@pytest.mark.parametrize("with_labels", [True, False])
def test_the_3d_view_needs_no_network(with_labels):
    page = three_dimensions(HEAD, LABELS if with_labels else None).get_iframe()
    assert "brainsprite" in page
    assert "src=&quot;http" not in page
