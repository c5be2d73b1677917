"""What the files of the repository promise each other."""

import ast
import json
import re
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from segsrgan_study.notebooks import stripped

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STUDY = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ABLATIONS = yaml.safe_load((ROOT / "ablations" / "dvc.yaml").read_text())["stages"]
STAGES = STUDY | ABLATIONS


def test_conda_and_pip_install_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert sorted(name for name in pip if name != "-e .") == sorted(project["dependencies"])
    assert "-e ." in pip
    assert f"python{project['requires-python']}" in conda


def test_the_lock_pins_every_dependency_with_hashes_and_without_addresses():
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    for name in (re.split(r"[>=\[]", requirement)[0] for requirement in wanted):
        assert re.search(rf"^{name}==.*\\\n +--hash=sha256:", lock, re.MULTILINE), name
    assert "://" not in lock


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    assert path.read_text() == stripped(nbformat.read(path, as_version=4))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_study_has_parameters_and_a_stage(path):
    if not re.match(r"\d\d_", path.stem):
        pytest.skip("for exploration: no stage")
    notebook = nbformat.read(path, as_version=4)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) == 1
    assert [stage for stage in STAGES.values() if stage["cmd"] == f"segsrgan notebook {path.stem}"]


def _modules_of(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segsrgan_"):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _file(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _imported(source: str) -> set[Path]:
    """Every file of the core that a piece of code imports, directly or not."""
    files, open_ = set(), [source]
    while open_:
        for module in _modules_of(open_.pop()):
            path = _file(module)
            if path and path not in files:
                files.add(path)
                open_.append(path.read_text())
    return files


def _is_plumbing(path: Path) -> bool:
    """What every stage goes through: a change there that changes results shows in the files that a stage names."""
    return path.parent == ROOT / "segsrgan_study" or path.name == "__init__.py"


def _code_of(stage: dict) -> str:
    """The code of a stage's notebook, or of its command."""
    command = stage["cmd"].split()[1]
    if command == "notebook":
        path = next(dep for dep in stage["deps"] if dep.endswith(".ipynb"))
        notebook = nbformat.read(ROOT / path, as_version=4)
        lines = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code").splitlines()
        return "\n".join(line for line in lines if not line.startswith("%"))  # Jupyter's own commands
    tree = ast.parse((ROOT / "segsrgan_study" / "cli" / "study.py").read_text())
    return next(ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == command)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_code_that_it_uses(name):
    code = _code_of(STAGES[name])
    deps = [ROOT / dep for dep in STAGES[name]["deps"] if "$" not in dep]
    missing = [
        str(path.relative_to(ROOT))
        for path in sorted(_imported(code))
        if not _is_plumbing(path) and not any(path == dep or dep in path.parents for dep in deps)
    ]
    assert missing == []


def test_every_dependency_of_a_stage_is_there_or_made():
    made = [str(next(iter(out)) if isinstance(out, dict) else out) for s in STAGES.values() for out in s["outs"]]
    for stage in STAGES.values():
        for dep in stage["deps"]:
            known = any(dep.startswith(out) or out.startswith(f"{dep}/") for out in made)
            assert "$" in dep or (ROOT / dep).exists() or known, dep


def test_no_stage_of_the_study_runs_the_ablations():
    made = [str(next(iter(out)) if isinstance(out, dict) else out) for s in ABLATIONS.values() for out in s["outs"]]
    for stage in STUDY.values():
        for dep in stage["deps"]:
            assert not any(out.startswith(dep) or dep.startswith(out) for out in made), dep


def test_the_ablations_matrix_is_that_of_their_plan():
    plan = yaml.safe_load((ROOT / "ablations" / "ablations.yaml").read_text())
    assert ABLATIONS["run"]["matrix"] == {"run": list(plan["runs"]), "seed": plan["seeds"]}


def test_no_notebook_carries_a_path_of_a_machine():
    for path in [*NOTEBOOKS, *(ROOT / "results" / "notebooks").glob("*.ipynb")]:
        assert str(ROOT) not in json.dumps(json.loads(path.read_text())), path
