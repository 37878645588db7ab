"""Records of jobs that ran under version 1: renamed where the settings are the same, else left alone."""

import json
import re
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from synthood.config.renames import RENAMES
from synthood.data.settings import PartSettings
from synthood.errors import SynthoodError
from synthood.workflow import migrate as migrating
from synthood.workflow.code import START, code_of, code_of_plugin, digests_in
from synthood.workflow.migrate import SECTIONS, migrate

GATE = "synthood.outliers.gate"
OLD = '{"accept":"all","classifier":"ce","confidence_below":0.9,"k":3,"wanted_per_class":2}'
NEW = '{"accept":"all","classifier":"ce","k":3,"keep_per_class":2,"max_confidence":0.9}'
OUTPUT = "results/digits/outliers/oal/gate.safetensors"
PROJECT = Path(__file__).parents[2]


class Records:
    """Snakemake's records in a folder, named as it names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "results").mkdir()
        (folder / ".snakemake/metadata").mkdir(parents=True)

    def path(self, output: str) -> Path:
        name = urlsafe_b64encode(output.encode()).decode()
        parts = [name[i : i + 254] for i in range(0, len(name), 254)]
        return self.folder.joinpath(".snakemake/metadata", *(f"@{part}" for part in parts[:-1]), parts[-1])

    def write(self, output: str, settings: str, module: str = GATE, digest: str = "", **more: Any) -> dict[str, Any]:
        """One of a job with two parameters."""
        command = f"guard && SYNTHOOD_CODE={digest or code_of(module)} exec {START} {module} --settings ..."
        record = {"code": command, "params": ["'.resume'", repr(settings)], "record_format_version": 6, "input": []}
        self.path(output).parent.mkdir(parents=True, exist_ok=True)
        self.path(output).write_text(json.dumps(record | more))
        return record | more

    def read(self, output: str) -> dict[str, Any]:
        return dict(json.loads(self.path(output).read_text()))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path)


@pytest.mark.parametrize("output", [OUTPUT, f"results/{'n' * 75}/outliers/{'o' * 75}/{'p' * 75}/gate.safetensors"])
def test_old_names_become_new_ones(records: Records, output: str) -> None:
    old = records.write(output, OLD)
    done = migrate(records.folder / "results")
    assert (done.updated, done.other_code, done.left) == ([output], [], {})
    assert records.read(output) == old | {"params": sorted(["'.resume'", repr(NEW)])}


def test_the_second_time_nothing_changes(records: Records) -> None:
    records.write(OUTPUT, OLD)
    migrate(records.folder / "results")
    before = records.path(OUTPUT).stat()
    assert migrate(records.folder / "results").updated == []
    assert records.path(OUTPUT).stat() == before


def test_an_interrupted_migration_is_continued(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = [f"results/d{i}/outliers/oal/gate.safetensors" for i in range(3)]
    for output in outputs:
        records.write(output, OLD)
    whole, calls = migrating._migrated, []

    def second_fails(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(migrating, "_migrated", second_fails)
        with pytest.raises(KeyboardInterrupt):
            migrate(records.folder / "results")
    assert len(migrate(records.folder / "results").updated) == 2
    assert all(repr(NEW) in records.read(output)["params"] for output in outputs)


@pytest.mark.parametrize(
    ("settings", "more", "why"),
    [
        (OLD.replace('"k":3', '"k":3,"unknown":1'), {}, "not those of this version"),
        (OLD.replace('"k":3', '"k":3,"percentile":99.0'), {}, ""),
        (OLD.replace("0.9", "1.0"), {}, "a default has changed since"),
        (OLD.replace('"k":3', '"k":3,"max_confidence":0.8'), {}, "not those of this version"),
        (OLD, {"record_format_version": 5}, "of an older Snakemake"),
        (OLD, {"code": "cat {input}"}, "of no stage"),
        (OLD, {"code": "SYNTHOOD_CODE=0123 exec python -m synthood.nothing --settings"}, "No module named"),
    ],
)
def test_what_is_not_the_same_settings_is_left_alone(records: Records, settings: str, more: Any, why: str) -> None:
    old = records.write(OUTPUT, settings, **more)
    done = migrate(records.folder / "results")
    if why:
        assert why in done.left[OUTPUT]
        assert records.read(OUTPUT) == old
    else:
        assert done.left == {}


def test_a_record_that_is_no_json_and_one_of_another_folder(records: Records) -> None:
    records.write("elsewhere/gate.safetensors", OLD)
    records.path(OUTPUT).write_text('{"code"')
    done = migrate(records.folder / "results")
    assert done.left == {OUTPUT: "its record is no JSON"}
    assert repr(OLD) in records.read("elsewhere/gate.safetensors")["params"]


def test_other_code_is_named_and_accepted_on_demand(records: Records) -> None:
    records.write(OUTPUT, OLD, digest="0123456789ab")
    done = migrate(records.folder / "results")
    assert (done.updated, done.other_code) == ([OUTPUT], [OUTPUT])
    assert "SYNTHOOD_CODE=0123456789ab" in records.read(OUTPUT)["code"]
    done = migrate(records.folder / "results", accept_code=True)
    assert (done.updated, done.other_code) == ([OUTPUT], [])
    assert f"SYNTHOOD_CODE={code_of(GATE)} " in records.read(OUTPUT)["code"]
    # As commands began before stages forked
    old = f"SYNTHOOD_CODE=0123456789ab exec python -m {GATE} --settings"
    records.write(OUTPUT, OLD, code=old)
    migrate(records.folder / "results", accept_code=True)
    assert records.read(OUTPUT)["code"] == f"SYNTHOOD_CODE={code_of(GATE)} exec {START} {GATE} --settings"


def test_digests_of_methods_follow_but_not_those_of_a_users_file(records: Records, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def fit(reference):\n    return lambda samples: samples.logits[:, 0]\n")
    detectors = {"mine": {"file": str(file), "kind": "custom"}, "msp": {"kind": "msp"}}
    settings = {"code": {"detectors.mine": "a", "detectors.msp": "b"}, "detectors": detectors, "far": ["x"], "near": []}
    records.write("results/scores.parquet", json.dumps(settings | {"far": ["x"]}), module="synthood.evaluation.score")
    done = migrate(records.folder / "results", accept_code=True)
    assert done.left == {}
    from synthood.evaluation.detectors.logits import Msp

    (text,) = (entry for entry in records.read("results/scores.parquet")["params"] if entry.startswith("'{"))
    assert json.loads(text[1:-1])["code"] == {"detectors.mine": "a", "detectors.msp": code_of_plugin(Msp())}


def test_digests_that_older_records_lack_are_added(records: Records) -> None:
    """Version 1 counted sources to the stage's code, not to the job's."""
    text = '{"ood":true,"part":"noise","source":{"images":3,"kind":"noise","size":32}}'
    records.write("results/d/images/noise.safetensors", text, module="synthood.data.prepare", digest="0123456789ab")
    assert migrate(records.folder / "results").updated == []
    migrate(records.folder / "results", accept_code=True)
    (entry,) = (one for one in records.read("results/d/images/noise.safetensors")["params"] if one.startswith("'{"))
    settings = PartSettings.parse(text)
    assert entry[1:-1] == settings.model_copy(update={"code": digests_in(settings)}).canonical()
    assert digests_in(settings).keys() == {"source"}


def test_a_folder_without_records_and_one_in_use(records: Records, tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match="none: no results of Snakemake"):
        migrate(tmp_path / "none")
    (records.folder / ".snakemake/locks").mkdir()
    (records.folder / ".snakemake/locks/0.output.lock").write_text(OUTPUT)
    old = records.write(OUTPUT, OLD)
    with pytest.raises(SynthoodError, match="locked; let Snakemake finish"):
        migrate(records.folder / "results")
    assert records.read(OUTPUT) == old


def stages() -> list[str]:
    """Modules of all stages, as the rules name them."""
    texts = [rules.read_text() for rules in sorted((PROJECT / "rules").glob("*.smk"))]
    return [module for text in texts for module in re.findall(r'stage\(\s*"([\w.]+)"', text)]


def keys_in(schema: Any) -> set[str]:
    """Every key of the sections in a schema."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    own = set(schema.get("properties", ())) if isinstance(schema, dict) else set()
    return own.union(*map(keys_in, inner))


@pytest.mark.parametrize("module", stages())
def test_stages_with_renamed_keys_are_known(module: str) -> None:
    settings = migrating._settings_of(module)
    renamed = keys_in(settings.model_json_schema()) & {one.new for one in RENAMES if not one.of}
    if module.startswith(("synthood.evaluation.score", "synthood.generators.score")):
        renamed -= {"similarity"}  # of godin-perturbed, which version 1 did not have
    since_version_2 = module == "synthood.deploy.export_detector"
    assert (bool(renamed) and not since_version_2) == (module in SECTIONS), renamed
    assert {key for key in SECTIONS.get(module, ()) if key} <= settings.model_fields.keys()
