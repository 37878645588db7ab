"""The workflow as a whole: planned by every profile, the same bytes twice, a report at the end."""

import json
import re
from pathlib import Path

import pytest
import yaml

from checkouts import PROJECT, TIMES, WarmWorkflow, Workflow, checkout, warm_stages
from synthood.common.artefact import provenance_path, verify
from synthood.common.identity import MANIFEST, read_record

pytestmark = pytest.mark.workflow

CONFIGS = [PROJECT / "config.yaml", *sorted((PROJECT / "configs").glob("*.yaml"))]
RULES = sorted((PROJECT / "rules").glob("*.smk"))
HEAVY = ("fit_generator", "synthesise", "fit_encoder", "embed", "latents", "gate", "scale_curve", "train", "extract")


def test_the_same_bytes_on_one_core_as_on_two(finished: Workflow, tmp_path: Path) -> None:
    # Of other hash seeds, and of the same code, also where the project is edited meanwhile
    other = checkout(tmp_path / "again", warm_stages(), finished)
    done = other.run(cores=1)
    assert done.returncode == 0, done.stdout
    ours, theirs = finished.artefacts(), other.artefacts()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_every_artefact_has_provenance(finished: Workflow) -> None:
    results = finished.place / "results"
    # Scores that are kept beside them are no artefacts: each says in its name what it was made from.
    for name in (one for one in finished.artefacts() if "/.scores/" not in one):
        steps = [results / name, *(results / name).parents]
        beside = (step.parent / f"{step.name}.provenance.json" for step in steps if step.is_relative_to(results))
        assert any(path.is_file() for path in beside), name


def test_every_artefact_says_what_it_is(finished: Workflow) -> None:
    """In itself, its folder or, where it is text, its provenance file."""
    results = finished.place / "results"
    for name in finished.artefacts():
        path = next((folder for folder in (results / name).parents if (folder / MANIFEST).exists()), results / name)
        record = read_record(path) or json.loads(provenance_path(path).read_text())["identity"]
        assert record["place"] == path.relative_to(results).as_posix()
        assert verify(path, ours=True)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_every_configuration_plans_in_a_fresh_clone(clean: WarmWorkflow, config: Path) -> None:
    assert any(job.startswith(("train ", "import ")) for job in clean.planned("--configfile", str(config)))


def test_no_demo_key_leaks_into_another_configuration(clean: WarmWorkflow) -> None:
    (clean.place / "config.yaml").write_text((PROJECT / "config.yaml").read_text())
    jobs = clean.planned("--configfile", str(PROJECT / "tests" / "config.yaml"))
    assert {job for job in jobs if "cutout" in job or "photos" in job} == set()


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_gpu_is_asked_for_only_where_one_is(clean: WarmWorkflow, gpus: int) -> None:
    visible = ",".join(map(str, range(gpus)))
    done = clean.run("-n", "--verbose", "--printshellcmds", CUDA_VISIBLE_DEVICES=visible)
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"--gpus=(\d+)", done.stdout)) == {str(gpus)}


def test_the_slurm_profile_plans_with_a_gpu_and_time_for_heavy_rules(clean: WarmWorkflow) -> None:
    done = clean.run("-n", "--printshellcmds", "--profile", "profiles/slurm", cores=None, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0, done.stdout
    commands = set(re.findall(r"CLIENT\" \S+\.(\w+) .*?--gpus=(\d+)", done.stdout))
    assert commands == {(rule, "1") for rule in HEAVY}
    assert set(re.findall(r"--memory=(\d+)", done.stdout)) == {"16000"}
    profile = yaml.safe_load((PROJECT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert profile["retries"] == 2
    assert {rule for rule, body in rule_texts().items() if "gpu=GPU" in body} == profile["set-resources"].keys()


def test_a_users_python_path_reaches_the_jobs(fresh: Workflow, tmp_path: Path) -> None:
    """Behind the workflow's own package, which a module of that name must not hide."""
    others = tmp_path / "others"
    others.mkdir()
    (others / "my_shapes.py").write_text("SHAPE = (6, 32, 32, 3)\n")
    (others / "synthood.py").write_text("raise SystemExit('not the package')\n")
    (fresh.place / "grey.py").write_text(
        "import numpy as np\nfrom my_shapes import SHAPE\n\n\n"
        "def images(split):\n    return np.full(SHAPE, 128, np.uint8)\n"
    )
    config = fresh.config
    config["datasets"]["digits"]["far"] = {"grey": {"kind": "custom", "file": "grey.py"}}
    fresh.config = config
    done = fresh.run("results/digits/images/grey.safetensors", PYTHONPATH=str(others))
    assert done.returncode == 0, done.stdout


def rule_texts() -> dict[str, str]:
    """Each rule's text by its name."""
    found = [re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", file.read_text(), re.MULTILINE) for file in RULES]
    return dict(pair for pairs in found for pair in pairs)


@pytest.mark.parametrize("name", rule_texts())
def test_every_rule_says_what_it_needs(name: str) -> None:
    body = rule_texts()[name]
    for directive in ("log", "conda", "resources", "message", "params"):
        assert f"    {directive}:" in body, directive
    assert name == "fetch" or re.search(r"\*\*needs\(mem_mb=\d+, minutes=\d+\)", body)
    if name in HEAVY:
        assert "gpu=GPU" in body


def test_no_two_jobs_share_a_log_or_a_benchmark(clean: WarmWorkflow) -> None:
    """Also where names joined by hyphens would be the same: a and b-c, a-b and c."""
    config = clean.config
    digits, recipes = config["datasets"].pop("digits"), config["recipes"]
    config["datasets"] = {"a": digits, "a-b": digits}
    recipes |= {"c": recipes["ce"], "b-c": recipes["ce"]}
    (table,) = config["tables"].values()
    table |= {"datasets": ["a", "a-b"], "recipes": [*table["recipes"], "b-c", "c"]}
    clean.config = config
    done = clean.run("-n", "--printshellcmds")
    assert done.returncode == 0, done.stdout
    logs = re.findall(r"> (results/logs/\S+) 2>&1$", done.stdout, re.MULTILINE)
    assert {f"results/logs/train/{name}/seed0.log" for name in ("a/b-c", "a/c", "a-b/b-c", "a-b/c")} <= set(logs)
    assert len(logs) == len(set(logs))
    for body in rule_texts().values():
        log, *benchmark = re.findall(r'"results/(?:logs|benchmarks)/([^"]*)\.(?:log|tsv)"', body)
        assert benchmark in ([], [log])


def test_the_rule_graph_of_the_readme_is_the_workflow_s(clean: WarmWorkflow) -> None:
    done = clean.run("--configfile", str(PROJECT / "config.yaml"), "--rulegraph", "mermaid-js")
    drawn = re.search(r"```mermaid\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert drawn is not None
    assert edges(drawn[1]) == edges(done.stdout)


def edges(graph: str) -> set[tuple[str, str]]:
    """Pairs of rule names of a Mermaid graph."""
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", graph))
    return {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", graph)}


def test_a_table_has_a_page_of_its_own(finished: Workflow) -> None:
    page = "results/report/tables/small.html"
    done = finished.run("--", page)
    assert done.returncode == 0, done.stdout
    files = {name: (finished.place / name).read_bytes() for name in (page, "results/report/index.html")}
    (finished.place / page).unlink()
    # The configuration's only table: the same page, made of the same files
    assert len({re.sub(TIMES, b"", data) for data in files.values()}) == 1


def test_the_report_is_one_page_without_outside_resources(finished: Workflow) -> None:
    done = finished.run("--report", "report.html", "--report-stylesheet", "report/style.css")
    assert done.returncode == 0, done.stdout
    page = (finished.place / "report.html").read_text()
    (finished.place / "report.html").unlink()
    for label in ("Tables", "Figures", "Synthetic images", "Outliers", "ROC curves"):
        assert label in page
    assert re.search(r"""<(script|link|img)[^>]+(src|href)=["']https?://""", page) is None
    # The box around a figure, by the classes that report/style.css selects
    assert '"grow flex items-center justify-center h-screen overflow-auto"' in page
    assert ".items-center.overflow-auto { align-items: safe center;" in page
