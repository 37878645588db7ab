"""Jobs that need no torch do not pay for its import."""

import subprocess
import sys

import pytest

LIGHT = ("config.load", "workflow.plan", "cli", "data.prepare", "reporting.tabulate", "reporting.plot")
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
