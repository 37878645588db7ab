"""What a new method costs: files edited by hand, and stages that run again. python benchmarks/extension.py [--check]

Each addition is made in a copy of the repository, as its recipe in CONTRIBUTING.md says or, where it has none, by the
text in ADDITIONS, and a configuration that uses it is loaded. Files are counted by `git status`; generated files are
renewed and not counted.

A stage runs again where its command or its jobs' parameters change. Commands hold the digest of the stage's code;
parameters hold parts of the configuration and the digests of the methods in them. So these are compared before and
after: the digests of all stages that rules name, and the settings and digests of all shipped configurations. It is what
Snakemake compares, without a plan or a finished run. With --check, exit code 1 where a bar is not met.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
GENERATED = {"schemas/config.schema.json": ["schema"], "docs/config.md": ["schema", "--markdown"]}
"""Files that the command line writes, by its arguments."""


def blocks(text: str) -> dict[str, str]:
    """The code of CONTRIBUTING.md by the file that the block's first line names."""
    return dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", text, re.DOTALL))


def write_block(place: Path, code: str) -> None:
    """Makes a file, or puts a class at the end of one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    before = place.read_text().rstrip("\n") + "\n\n\n" if place.exists() else ""
    place.write_text(before + code)


@dataclass
class Addition:
    """What is added: blocks of CONTRIBUTING.md, or text to put before other text of a file ('' its end)."""

    use: dict[str, Any]
    """Keys of a configuration that uses it, over those of tests/config.yaml."""
    most: int | None
    """Files that may be edited by hand; None where the bar is not met yet, so the count is reported alone."""
    recipe: str = ""
    by_hand: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def make(self, copy: Path) -> None:
        if self.recipe:
            write_block(copy / self.recipe, blocks((copy / "CONTRIBUTING.md").read_text())[self.recipe])
        for name, edits in self.by_hand.items():
            place = copy / name
            text = place.read_text() if place.exists() else ""
            for before, new in edits:
                if before not in text:
                    raise SystemExit(
                        f"{name}: has no {before!r} any more; renew the addition in benchmarks/extension.py"
                    )
                at = text.index(before) if before else len(text)
                text = text[:at] + new + text[at:]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)


ADDITIONS = {
    "detector": Addition(
        {"detectors": {"new": {"kind": "margin", "power": [0.5, 1.0]}}},
        most=1,
        recipe="src/synthood/evaluation/detectors/logits.py",
    ),
    "loss": Addition(
        {"recipes": {"new": {"like": "ce", "short_features": {"weight": 0.1}}}},
        most=2,
        recipe="src/synthood/training/methods/short_features.py",
    ),
    "network": Addition(
        {"recipes": {"new": {"like": "ce", "network": {"kind": "plain"}}}},
        most=1,
        recipe="src/synthood/training/networks/architectures/plain.py",
    ),
    "augmentation": Addition(
        {"recipes": {"new": {"like": "ce", "augmentation": {"dimming": {"most": 0.25}}}}},
        most=1,
        recipe="src/synthood/training/augmentation/dimming.py",
    ),
    "benchmark": Addition(
        {"datasets": {"new": {"benchmark": "dogs", "path": "data"}}},
        most=1,
        recipe="src/synthood/data/benchmarks/dogs.yaml",
    ),
    "generator": Addition(
        {"generators": {"new": {"kind": "grey", "images_per_class": 4, "block_size": 8}}},
        most=2,
        recipe="src/synthood/generators/kinds/grey.py",
    ),
    "metric": Addition(
        {"tables": {"new": {"like": "small", "columns": ["detection_error"]}}},
        most=1,
        recipe="src/synthood/evaluation/metrics/detection.py",
    ),
    "source": Addition(
        {"datasets": {"new": {"like": "digits", "far": {"new": {"kind": "stripes", "images": 4}}}}},
        most=1,
        recipe="src/synthood/data/sources/stripes.py",
    ),
}


def digests(root: Path) -> dict[str, str]:
    """Of each stage's code, and of each shipped configuration's settings and methods."""
    from synthood.config.load import load_file
    from synthood.workflow.code import code_of, digests_in

    rules = "".join(path.read_text() for path in sorted((root / "rules").glob("*.smk")))
    found = {f"stage {name}": code_of(name) for name in sorted(set(re.findall(r'"(synthood\.[a-z_.]+)"', rules)))}
    for path in sorted([root / "config.yaml", root / "tests/config.yaml", *(root / "configs").glob("*.yaml")]):
        config, name = load_file(path), str(path.relative_to(root))
        found[f"settings of {name}"] = config.canonical()
        found |= {f"{name}: {place}": digest for place, digest in digests_in(config).items()}
    return found


def used(root: Path, more: dict[str, Any]) -> None:
    """Loads tests/config.yaml with these keys."""
    from synthood.config.load import load

    raw = yaml.safe_load((root / "tests/config.yaml").read_text())
    load({key: raw.get(key, {}) | more[key] if key in more else raw[key] for key in raw | more})


def run(copy: Path, *command: str, text: str = "") -> str:
    """The output of a command in the copy, whose package comes first."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src")}
    done = subprocess.run(command, cwd=copy, env=environment, input=text, text=True, stdout=subprocess.PIPE, check=True)
    return done.stdout


def inside(copy: Path, use: dict[str, Any]) -> dict[str, str]:
    """The digests in a new process that imports the copy's package, after it has loaded a configuration's keys."""
    answer = run(copy, sys.executable, str(Path(__file__).resolve()), "--inside", text=json.dumps(use))
    return dict(json.loads(answer))


def copied(place: Path) -> None:
    """The files that git does not ignore, as one commit."""
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True)
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    run(place, "git", "init", "-q")
    run(place, "git", "add", "-A")
    run(place, "git", "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "copy")


def edited(copy: Path) -> list[str]:
    """Files that differ from the commit, without those that are generated."""
    status = run(copy, "git", "status", "--porcelain", "--untracked-files=all").splitlines()
    return [name for line in status if (name := line[3:]) not in GENERATED]


def measured(copy: Path, addition: Addition, before: dict[str, str]) -> tuple[list[str], list[str]]:
    """Files edited by hand, and what would run again; the copy is as before at the end."""
    addition.make(copy)
    for name, arguments in GENERATED.items():
        (copy / name).write_text(run(copy, sys.executable, "-m", "synthood.cli", *arguments))
    after = inside(copy, addition.use)
    files = edited(copy)
    run(copy, "git", "checkout", "-q", ".")
    run(copy, "git", "clean", "-fdqx")
    return files, sorted(name for name in before if after.get(name) != before[name])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met")
    parser.add_argument("--only", choices=ADDITIONS, action="append", help="these additions alone")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        used(Path.cwd(), json.load(sys.stdin))
        print(json.dumps(digests(Path.cwd())))
        return 0
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copied(copy)
        before = inside(copy, {})
        for name in given.only or ADDITIONS:
            addition = ADDITIONS[name]
            files, again = measured(copy, addition, before)
            stages = [one.removeprefix("stage ") for one in again if one.startswith("stage ")]
            met = addition.most is not None and len(files) <= addition.most and not again
            failed |= addition.most is not None and not met
            bar = f"bar {addition.most} and 0" if addition.most else "no bar yet"
            print(f"{name}: {len(files)} files by hand, {len(again)} stages or methods run again ({bar})")
            print("".join(f"    {file}\n" for file in files) + "".join(f"    again: {one}\n" for one in stages), end="")
    return int(failed and given.check)


if __name__ == "__main__":
    sys.exit(main())
