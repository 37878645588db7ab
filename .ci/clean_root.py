"""Carries out the Dockerfile's steps without a builder, in a Debian of its own: .ci/clean_root.py FOLDER COMMAND...

FOLDER gets the roots (6 GB with CUDA's torch) and is made by debootstrap where it is empty; COMMAND runs in the last
stage, as its user, with --mount SOURCE TARGET. Debian's own Python replaces the image of FROM. Needs root and
debootstrap; --arg TORCH=cpu where PyTorch's index of CPU builds can be reached.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).parents[1]
SUITE, PACKAGES = "bookworm", "python3,python3-venv,ca-certificates"
KNOWN = ("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "RUN", "USER", "WORKDIR")
NETWORK = re.compile(r"(?i)(https?|no)_proxy|(PIP|UV|SSL|REQUESTS)_\w*(INDEX|CERT|CA_BUNDLE)\w*")
"""Variables of this machine without which a package index may not be reached."""


@dataclass
class Stage:
    """A root, and what the steps so far have set in it."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"
    entry: list[str] = field(default_factory=list)


def instructions(text: str) -> list[tuple[str, str]]:
    """Keyword and rest of each, with continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    found = [
        (head.upper(), rest.strip()) for head, _, rest in (line.partition(" ") for line in joined.split("\n") if line)
    ]
    if wrong := [head for head, _ in found if head not in KNOWN]:
        sys.exit(f"Dockerfile: {wrong[0]} is not carried out here")
    return found


def filled(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME}` and `$NAME` replaced."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], ""), text)


def build(folder: Path, arguments: Mapping[str, str]) -> Stage:
    """All stages; the last one's root and settings."""
    base, stages, given = folder / "base", dict[str, Stage](), dict[str, str]()
    if not base.exists():
        run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(base)])
    stage = Stage(base)
    for head, rest in instructions((PROJECT / "Dockerfile").read_text()):
        print(f"{head} {rest}", flush=True)
        if head == "ARG":
            name, _, default = rest.partition("=")
            given[name] = arguments.get(name, given.get(name, default))
            stage.variables[name] = given[name]
        elif head == "FROM":
            name = rest.split(" AS ")[1] if " AS " in rest else "last"
            stage = stages[name] = Stage(folder / name)
            shutil.rmtree(stage.root, ignore_errors=True)
            run(["cp", "-a", str(base), str(stage.root)])
        elif head == "ENV":
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                stage.variables[name] = filled(value, {"PATH": PATH, **stage.variables})
        elif head == "WORKDIR":
            stage.folder = rest
            inside(stage.root, rest).mkdir(parents=True, exist_ok=True)
        elif head == "USER":
            stage.user = rest
        elif head == "ENTRYPOINT":
            stage.entry = json.loads(rest)
        elif head == "COPY":
            copy(rest, stage, stages)
        elif head == "RUN":
            step(rest, stage)
    return stage


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def copy(rest: str, stage: Stage, stages: Mapping[str, Stage]) -> None:
    words = shlex.split(rest)
    source = PROJECT
    if words[0].startswith("--from="):
        source = stages[words.pop(0).removeprefix("--from=")].root
    *names, target = words
    place = inside(stage.root, str(Path(stage.folder) / target))
    for name in names:
        path = inside(source, name)
        into = place / path.name if target.endswith("/") and not path.is_dir() else place
        into.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            run(["cp", "-a", f"{path}/.", str(into)] if into.exists() else ["cp", "-a", str(path), str(into)])
        else:
            shutil.copy(path, into)


def step(rest: str, stage: Stage) -> None:
    """RUN, with caches of this machine where it mounts one."""
    mounts = []
    while found := re.match(r"--mount=type=cache,target=(\S+)\s+", rest):
        mounts.append((Path(found[1]), found[1]))
        rest = rest[found.end() :]
    for source, _ in mounts:
        source.mkdir(parents=True, exist_ok=True)
    enter(stage, ["/bin/sh", "-c", rest], mounts)


def enter(stage: Stage, command: Sequence[str], mounts: Sequence[tuple[Path, str]] = ()) -> None:
    """Runs a command in the root with the environment of the steps before it and nothing else of this machine's."""
    variables = {"PATH": PATH, "HOME": "/root" if stage.user == "0" else stage.folder} | stage.variables
    variables |= {name: value for name, value in os.environ.items() if NETWORK.fullmatch(name)}
    shutil.copy("/etc/resolv.conf", stage.root / "etc/resolv.conf")
    needed = [(Path("/proc"), "/proc"), (Path("/dev"), "/dev"), (Path("/etc/ssl/certs"), "/etc/ssl/certs"), *mounts]
    lines = ["set -e"]
    for source, target in needed:
        place = inside(stage.root, target)
        place.mkdir(parents=True, exist_ok=True)
        lines.append(f"mount --rbind {shlex.quote(str(source))} {shlex.quote(str(place))}")
    root, user = shlex.quote(str(stage.root)), f"--userspec={stage.user}:{stage.user}"
    start = f'cd {shlex.quote(stage.folder)} && exec "$@"'
    lines.append(f"exec chroot {user} --groups= {root} /bin/sh -c {shlex.quote(start)} sh {shlex.join(command)}")
    # Mounts of a namespace of their own, which end with it
    run(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", "\n".join(lines)], variables)


def run(command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, env=None if variables is None else dict(variables), check=False)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}: {shlex.join(command[-3:])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("command", nargs="*", help="arguments of the entry point (default: --version)")
    parser.add_argument("--arg", action="append", default=["TORCH=cuda"], metavar="NAME=VALUE")
    parser.add_argument("--mount", nargs=2, action="append", default=[], metavar=("SOURCE", "TARGET"))
    parser.add_argument("--built", action="store_true", help="the stages are there already")
    given = parser.parse_intermixed_args()
    folder = given.folder.resolve()
    if given.built:
        steps = instructions((PROJECT / "Dockerfile").read_text())
        stage = Stage(
            folder / "last", {"PATH": f"/opt/synthood/bin:{PATH}"}, "/work", dict(steps)["USER"], ["synthood"]
        )
    else:
        stage = build(folder, dict(one.split("=", 1) for one in given.arg))
    mounts = [(Path(source).resolve(), target) for source, target in given.mount]
    enter(stage, [*stage.entry, *(given.command or ["--version"])], mounts)


if __name__ == "__main__":
    main()
