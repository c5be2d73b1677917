import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARIES = {"numpy", "scipy", "nibabel", "keras", "tensorflow", "threadpoolctl", "pydantic", "segsrgan_core"}


def lines(*folders: str) -> int:
    """Number of lines of all Python files, docstrings and blank lines included."""
    return sum(len(path.read_text().splitlines()) for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    ("folders", "limit"),
    [(["segsrgan_core"], 2_765), (["segsrgan_core", "segsrgan_study"], 16_016), (["tests"], 10_064)],
    ids=["method", "packages", "tests"],
)
def test_the_code_stays_readable_in_its_length(folders, limit):
    assert lines(*folders) <= limit


@pytest.mark.parametrize("path", sorted((ROOT / "segsrgan_core").rglob("*.py")), ids=lambda path: path.stem)
def test_the_method_imports_nothing_but_its_few_libraries(path):
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            found.add(node.module.partition(".")[0])
    assert found <= LIBRARIES | sys.stdlib_module_names
