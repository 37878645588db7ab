"""Jobs that need no torch do not pay for its import; modules import from lower layers alone, without cycles."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

LIGHT = (
    "config.load",
    "workflow.plan",
    "cli",
    "data.prepare",
    "reporting.tabulate",
    "reporting.plot",
    "reporting.report_page",
    "reporting.plot_results",
    "monitor.monitor",
)
HEAVY = ("torch", "diffusers", "transformers", "sklearn")


def test_what_needs_no_torch_does_not_import_it() -> None:
    """All in one process, so the first that imports too much is the one to look at."""
    found = f"[name for name in {HEAVY} if name in sys.modules]"
    imports = [f"import synthood.{module}; print({module!r}, *{found})" for module in LIGHT]
    code = "\n".join(["import sys", *imports])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*LIGHT]


@pytest.mark.parametrize("arguments", [["explain", "detectors.knn.k"], ["list", "losses"], ["schema", "--markdown"]])
def test_what_reads_the_schema_alone_does_not_import_numpy(arguments: list[str]) -> None:
    code = f"import sys; from synthood.cli import main; main({arguments}); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nFalse\n")


def test_training_does_not_import_diffusion_models_nor_timm() -> None:
    names = ("diffusers", "transformers", "timm")
    code = f"import sys, synthood.training.train; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SRC = Path(__file__).parents[1] / "src"
LAYERS = (
    "errors",
    "common",
    "plugins",
    "data",
    "training",
    "evaluation",
    "reporting",
    "generators",
    "outliers",
    "deploy",
    "serve",
    "monitor",
    "config",
    "workflow",
    "forecast",
    "init",
    "detectors",
    "tables",
    "cli",
)
"""Folders and modules of the package, the lowest first: each imports from those before it alone, also in functions."""


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    files = {".".join(file.relative_to(SRC).with_suffix("").parts): file for file in sorted(SRC.rglob("*.py"))}
    return {name.removesuffix(".__init__"): file for name, file in files.items()}


def imports(body: list[ast.stmt], kinds: tuple[str, ...]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Import statements that run on import, those for types alone (`typing`), and those in functions (`late`)."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "late" not in kinds:
            continue
        else:
            typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            fields = ("body", "orelse", "handlers", "finalbody")
            for field in fields if not typing or "typing" in kinds else fields[1:]:
                yield from imports(getattr(node, field, []), kinds)


def graph(files: dict[str, Path], *kinds: str) -> dict[str, set[str]]:
    """The package's modules that each of its modules imports; all imports are absolute."""
    found: dict[str, set[str]] = {name: set() for name in files}
    for name, file in files.items():
        for node in imports(ast.parse(file.read_text()).body, kinds):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            else:
                each = [f"{node.module}.{alias.name}" for alias in node.names]
                named = [one if one in files else str(node.module) for one in each]
            found[name] |= {one for one in named if one in files} - {name}
    return found


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, the first also at the end; none where there is no cycle."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("kinds", [(), ("typing",)])
def test_no_modules_import_each_other(kinds: tuple[str, ...]) -> None:
    edges = graph(modules(), *kinds)
    edges["synthood"] = set()  # whose `load` names a type that it imports late, and whose version all may import
    assert cycle(edges) == []


def test_a_cycle_of_imports_for_types_is_seen(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.py" for name in ("a", "b", "c")}
    files["a"].write_text("import b")
    files["b"].write_text("if TYPE_CHECKING:\n    from c import C")
    files["c"].write_text("class C:\n    def f(self):\n        import b\nimport a")
    assert graph(files) == {"a": {"b"}, "b": set(), "c": {"a"}}
    assert graph(files, "late") == {"a": {"b"}, "b": set(), "c": {"a", "b"}}
    assert cycle(graph(files)) == []
    assert sorted(set(cycle(graph(files, "typing")))) == ["a", "b", "c"]


def test_no_folder_imports_from_a_higher_layer() -> None:
    def layer(module: str) -> int:
        return LAYERS.index(module.split(".")[1]) if "." in module else -1

    edges = graph(modules(), "typing", "late")
    assert [f"{a} -> {b}" for a, named in edges.items() for b in named if layer(b) > layer(a) >= 0] == []
    assert {module.split(".")[1] for module in edges if "." in module} == set(LAYERS)
