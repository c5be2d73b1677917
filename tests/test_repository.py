"""What the files of the repository promise each other."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import grimp
import nbformat
import pytest
import yaml

from segsrgan_study.params import Settings

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STUDY = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ABLATIONS = yaml.safe_load((ROOT / "ablations" / "dvc.yaml").read_text())["stages"]
STAGES = STUDY | ABLATIONS
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _dependencies(*extras: str) -> list[str]:
    more = [name for extra in extras for name in PROJECT["optional-dependencies"][extra]]
    return PROJECT["dependencies"] + [name for name in more if not name.startswith(PROJECT["name"])]


def test_conda_and_pip_install_the_same():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert sorted(name for name in pip if name != "-e .") == sorted(_dependencies("train", "study"))
    assert "-e ." in pip
    assert f"python{PROJECT['requires-python']}" in conda


def test_the_lock_pins_every_dependency_with_hashes_and_without_addresses():
    lock = (ROOT / "requirements.lock").read_text()
    for name in (re.split(r"[>=\[]", one)[0] for one in _dependencies("train", "study", "dev")):
        assert re.search(rf"^{name}==.*\\\n +--hash=sha256:", lock, re.MULTILINE), name
    assert "://" not in lock


def _cells(path: Path) -> list[str]:
    """The code of a notebook without Jupyter's own commands, the cell of parameters first."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    cells.sort(key=lambda cell: "parameters" not in cell.metadata.get("tags", []))
    return ["\n".join(line for line in cell.source.splitlines() if line[:1] != "%") for cell in cells]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem[0].isdigit()], ids=lambda path: path.stem)
def test_a_notebook_declares_and_uses_the_parameters_of_its_stage(path):
    stage = next(s for s in STUDY.values() if s["cmd"] == f"segsrgan notebook {path.stem} -f params.yaml")
    declared, *rest = _cells(path)
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(declared).body}
    assert values == {name: {"cohort": "", "setting": "", "seed": None}.get(name, {}) for name in values}
    assert set(values) == {name.split(".")[0] for name in stage["params"]} - {"settings"}
    calls = [node for node in ast.walk(ast.parse("\n".join(rest))) if isinstance(node, ast.Call)]
    taken = next(call.keywords for call in calls if ast.unparse(call.func) == "notebook_settings")
    assert {keyword.arg: keyword.value.id for keyword in taken} == {name: name for name in values}


def _file(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("segsrgan_core", "segsrgan_study", cache_dir=None)


def _imported(source: str) -> set[Path]:
    """Every file of the packages that a piece of code imports, directly or not."""
    names = [name for name in _named(source).values() if isinstance(name, str)]
    modules = {module for name in names for module in (name, name.rpartition(".")[0]) if _file(module)}
    return {_file(one) for one in modules.union(*map(_graph().find_upstream_modules, modules))}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_what_is_there(path):
    for name in _named("\n".join(_cells(path))).values():
        if isinstance(name, str):
            module, _, last = name.rpartition(".")
            assert _file(name) or last in _names(_file(module)), name


def _code_of(stage: dict) -> str:
    """The code of a stage's notebook, or of its command."""
    command = stage["cmd"].split()[1]
    if command == "notebook":
        return "\n".join(_cells(ROOT / next(dep for dep in stage["deps"] if dep.endswith(".ipynb"))))
    tree = ast.parse((ROOT / "segsrgan_study" / "cli" / "study.py").read_text())
    return next(ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == command)


@cache
def _names(path: Path) -> dict[str, ast.AST | str]:
    """What the names of a module stand for: a piece of its code, or the dotted name that is imported."""
    return _named(path.read_text())


def _named(source: str) -> dict[str, ast.AST | str]:
    found: dict[str, ast.AST | str] = {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segsrgan_"):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id: node for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def _reached(source: str) -> list[ast.AST]:
    """The functions, classes and constants that a piece of code may come to, and the code itself."""
    reached, seen, open_ = [], set(), [(_named(source), ast.parse(source))]
    while open_:
        names, code = open_.pop()
        reached.append(code)
        for word in {node.id for node in ast.walk(code) if isinstance(node, ast.Name)} & names.keys():
            for more in _meant(names, names[word]):
                if id(more[1]) not in seen:
                    seen.add(id(more[1]))
                    open_.append(more)
    return reached


def _meant(names: dict, meaning: ast.AST | str) -> list[tuple[dict, ast.AST]]:
    """The code that a name stands for, with the names that it sees; of a module, all that is in it."""
    if not isinstance(meaning, str):
        return [(names, meaning)]
    module, _, name = meaning.rpartition(".")
    if path := _file(meaning):
        return [(_names(path), one) for one in _names(path).values() if not isinstance(one, str)]
    path = _file(module)
    return _meant(_names(path), _names(path)[name]) if path and name in _names(path) else []


def _used(code: list[ast.AST]) -> tuple[set[str], set[str]]:
    """The settings that are read, and the folders of `data` and `results`, in what `_reached` returns."""
    settings, folders = set(), set()
    for node in (node for part in code for node in ast.walk(part)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] == "settings":
            settings |= {node.attr} & Settings.model_fields.keys()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            root = {"work": "data", "results": "results"}.get(ast.unparse(node.left).rpartition(".")[2])
            folders |= {f"{root}/{node.right.value}"} if root else set()
    return settings - {"workers"}, folders


def _outs(*stages: dict) -> list[str]:
    return [str(next(iter(out)) if isinstance(out, dict) else out) for stage in stages for out in stage["outs"]]


@pytest.mark.parametrize("name", STUDY)
def test_a_stage_lists_the_parameters_and_the_data_that_it_uses(name):
    stage, (settings, folders) = STUDY[name], _used(_reached(_code_of(STUDY[name])))
    assert settings <= {param.split(".")[0] for param in stage["params"]}
    known = [*stage["deps"], *_outs(stage), "results/notebooks"]
    assert {folder for folder in folders if not any(one.startswith(folder) for one in known)} == set()


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_code_that_it_uses_in_at_most_five_folders(name):
    deps = [ROOT / dep for dep in STAGES[name]["deps"] if "$" not in dep]
    used = {path for path in _imported(_code_of(STAGES[name])) if path.name != "__init__.py"}
    # What every stage goes through: a change there that changes results shows in the files that a stage names.
    used -= set((ROOT / "segsrgan_study").glob("*.py"))
    assert {path for path in used if not any(path == dep or dep in path.parents for dep in deps)} == set()
    assert len([dep for dep in deps if dep.is_dir() and dep.parts[len(ROOT.parts)].startswith("segsrgan_")]) <= 5


def test_every_dependency_of_a_stage_is_there_or_made():
    made = _outs(*STAGES.values())
    for stage in STAGES.values():
        for dep in stage["deps"]:
            known = any(dep.startswith(out) or out.startswith(f"{dep}/") for out in made)
            assert "$" in dep or (ROOT / dep).exists() or known, dep


def test_no_stage_of_the_study_runs_the_ablations():
    made = _outs(*ABLATIONS.values())
    for stage in STUDY.values():
        for dep in stage["deps"]:
            assert not any(out.startswith(dep) or dep.startswith(out) for out in made), dep


def test_the_ablations_matrix_is_that_of_their_plan():
    plan = yaml.safe_load((ROOT / "ablations" / "ablations.yaml").read_text())
    assert ABLATIONS["run"]["matrix"] == {"run": list(plan["runs"]), "seed": plan["seeds"]}


def test_no_notebook_carries_a_path_of_a_machine():
    for path in [*NOTEBOOKS, *(ROOT / "results" / "notebooks").glob("*.ipynb")]:
        assert str(ROOT) not in path.read_text(), path
