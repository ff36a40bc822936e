"""The rules of the house: who imports whom."""

import ast
import graphlib
import sys

import pytest

SCRIPTS = ("models", "datasets", "utils", "train", "inference")


@pytest.fixture(scope="module")
def files(root):
    """{module: path} of the five scripts and of machinery/"""
    paths = [root / f"{name}.py" for name in SCRIPTS]
    paths += sorted((root / "machinery").glob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts): path for path in paths}


@pytest.fixture(scope="module")
def imported(files):
    """{module: the names that it imports, anywhere in the file}"""
    found = {}
    for module, path in files.items():
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found[module] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: expected whole names, found a relative import"
                found[module] |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return found


@pytest.fixture(scope="module")
def imports(imported):
    """{module: those of ours that it imports}"""
    return {module: names & imported.keys() for module, names in imported.items()}


def test_machinery_imports_no_script(imports):
    for module, names in imports.items():
        if module.startswith("machinery"):
            assert not names & set(SCRIPTS), module


def test_models_imports_nothing_of_ours(imports):
    assert imports["models"] == set()


def test_arrows_run_one_way(imports):
    """train -> inference -> datasets -> utils, and nowhere a circle."""
    order = list(graphlib.TopologicalSorter(imports).static_order())  # raises CycleError
    assert set(order) == set(imports)
    assert not imports["utils"] & set(SCRIPTS)
    assert imports["datasets"] & set(SCRIPTS) == {"utils"}
    assert "train" not in set().union(*imports.values())


def test_two_packages_are_needed(imported):
    """Besides what comes with Python."""
    allowed = {"torch", "tqdm", "machinery", *SCRIPTS, *sys.stdlib_module_names}
    for module, names in imported.items():
        assert {name.partition(".")[0] for name in names} <= allowed, module
