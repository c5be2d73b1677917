"""Work that is killed, stopped, or has no room: the same command goes on, and the result is the same bit by bit.

KILLS says how often; `make test-kill` asks for 56 over all stages, the tests of every day for one each of phantoms and
training. SEED chooses the moments.
"""

import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.miniature import ROOT, environment

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("KILLS", "2"))
ALL = KILLS > 2
SEED = int(os.environ.get("SEED", "1"))
COMMANDS = {
    "phantoms": ["phantoms"],
    "simulation": ["notebook", "01_simulate", "-f", "params.yaml"],
    "training": ["notebook", "02_train", "-f", "params.yaml"],
    "baselines": ["baselines"],
    "evaluation": ["notebook", "03_evaluate_dhcp", "-f", "params.yaml"],
    "variability": ["notebook", "04_epirmex_variability", "-f", "params.yaml"],
    "reporting": ["notebook", "05_figures", "-f", "params.yaml"],
    "segmentation": ["segment", "embedded", "--split", "variability", "--out", "derivatives", "--model",
                     "results/training/model", "--precision", "float32"],
}  # fmt: skip
# Joint label fusion wants two atlases; without the baselines one training subject will do. The critic would take half
# of a training's time; `test_training` goes on bit by bit with one.
COHORT = f"n_train: {2 if ALL else 1}, n_val: 1, n_test: 2, n_patients: 2, spacing_mm: 2.5"
SMALL = {
    r"embedded: \{.*\}": f"embedded: {{{COHORT}}}",
    r"adversarial_from: [\d.]+": f"adversarial_from: {0.5 if ALL else 1}",
}
STAGES = list(COMMANDS)[: None if ALL else 3]
KILLED = STAGES if ALL else ["phantoms", "training"]
OF_THE_MACHINE = {"results/run.js", "results/costs.csv"}  # times and hardware


def start(stage: str, cwd: Path, **options) -> subprocess.Popen:
    variables = {**environment(), "PYTHONPATH": str(ROOT)}
    variables.pop("COVERAGE_PROCESS_CONFIG", None)  # a tracer would leave files of its own
    command = [sys.executable, "-c", "from segsrgan_study.cli import main; main()", *COMMANDS[stage]]
    return subprocess.Popen(command, cwd=cwd, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True, start_new_session=True, **options)  # fmt: skip


def run_to_the_end(stage: str, cwd: Path) -> float:
    begun = time.monotonic()
    process = start(stage, cwd)
    _, said = process.communicate()
    assert process.returncode == 0, said
    return time.monotonic() - begun


def products(root: Path) -> dict[str, str]:
    """Return the digest of every file that a stage leaves, and of what stands half-written beside them."""
    folders = ("data", "data_manifests", "results", "derivatives")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    names = {path.relative_to(root).as_posix(): path for path in files}
    return {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in names.items() if n not in OF_THE_MACHINE}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """By stage, undisturbed: a copy of the study before it, how many seconds it took, and what was there after it."""
    home = tmp_path_factory.mktemp("undisturbed")
    study = home / "study"
    study.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, study)
    text = (study / "params.yaml").read_text().replace("\nsetting: quick", "\nsetting: miniature")
    miniature = text.rindex("  miniature:")
    first, changes = text[:miniature], text[miniature:]
    for old, new in SMALL.items():
        changes, count = re.subn(old, new, changes)
        assert count == 1, old
    (study / "params.yaml").write_text(first + changes)
    shutil.copytree(ROOT / "notebooks", study / "notebooks")
    found = {}
    for stage in STAGES:
        found[stage] = shutil.copytree(study, home / f"before_{stage}"), run_to_the_end(stage, study), products(study)
    return found


def kill(process: subprocess.Popen, whom: str) -> None:
    """Kill the command alone, all of its processes, or one that it started (as the system does without memory)."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    workers = [one for one in family[1:] if "resource_tracker" not in " ".join(one.cmdline())]
    for one in {"command": family[:1], "all": family, "worker": workers[-1:] or family[:1]}[whom]:
        one.kill()


@pytest.mark.parametrize("stage", KILLED)
def test_a_killed_stage_goes_on_and_its_result_is_the_same(stage, reference, tmp_path):
    before, lasts, expected = reference[stage]
    study = shutil.copytree(before, tmp_path / "study")
    moments = random.Random(f"{SEED} {stage}")
    kills, tries, undisturbed = 0, 0, True
    while kills < -(-KILLS // len(KILLED)):
        tries += 1
        assert tries < 5 * KILLS, "the stage is over before it can be killed"
        process = start(stage, study)
        begun = time.monotonic()
        whom = moments.choice(["command", "all", "worker"])
        try:
            process.wait(moments.uniform(0.05, 1) * lasts)
            if undisturbed:
                lasts = min(lasts, time.monotonic() - begun)  # it was faster this time
            shutil.rmtree(study)
            shutil.copytree(before, study)
            undisturbed = True
        except subprocess.TimeoutExpired:
            kill(process, whom)
            kills += 1
            undisturbed = False
        _, said = process.communicate()
        assert process.returncode in (0, 2, -signal.SIGKILL), said
        assert "Traceback" not in said, said
        whole = {name: digest for name, digest in products(study).items() if ".part-" not in name}
        assert not [name for name, digest in whole.items() if expected.get(name) != digest], "taken for a whole file"
    run_to_the_end(stage, study)
    assert products(study) == expected


@pytest.mark.parametrize("stage", ["phantoms", "training"] if ALL else ["training"])
def test_ctrl_c_stops_cleanly_and_the_stage_goes_on(stage, reference, tmp_path):
    before, seconds, expected = reference[stage]
    study = shutil.copytree(before, tmp_path / "study")
    process = start(stage, study)
    while not psutil.Process(process.pid).children():
        time.sleep(0.1)
    time.sleep(0.2 * seconds)
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not psutil.wait_procs(family, timeout=20)[1]
    run_to_the_end(stage, study)
    assert products(study) == expected


def test_a_stage_without_room_says_so_and_goes_on(reference, tmp_path):
    before, _, expected = reference["simulation"]
    study = shutil.copytree(before, tmp_path / "study")
    limit = (60_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    process = start("simulation", study, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    _, said = process.communicate()
    assert process.returncode == 2
    assert re.match(r"segsrgan: .*File too large; choose another folder", said.splitlines()[-1]), said
    assert "Traceback" not in said
    assert not [name for name, digest in products(study).items() if expected.get(name) != digest]
    run_to_the_end("simulation", study)
    assert products(study) == expected
