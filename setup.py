"""Puts the workflow's files, which are at the top of a checkout, into the package; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WORKFLOW = ("Snakefile", "rules", "envs", "profiles", "report")


class BuildWithWorkflow(build_py):
    """Copies them for `synthood run`, but not for an editable installation, which has the checkout itself."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "synthood" / "workflow" / "files"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in WORKFLOW:
            if Path(name).is_dir():
                shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(name, folder)


setup(cmdclass={"build_py": BuildWithWorkflow})
