import os
import re
import secrets
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from shlex import quote

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import SharedFSUsage

# A checkout's own package comes first; an installed package has these rules in workflow/files, or they are a module
# from a Git URL.
PLACE = Path(str(workflow.current_basedir)).parent
SRC = next((place for place in [PLACE / "src", *PLACE.parents[2:3]] if (place / "synthood").is_dir()), None)
if SRC is None:
    if (installed := find_spec("synthood")) is None:
        raise WorkflowError(
            f"{workflow.current_basedir}: needs the package of the same version; install synthood"
        )
    SRC = Path(installed.origin).parents[1]
if str(SRC) not in sys.path:
    sys.path.insert(0, str(SRC))
others = [
    place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place not in ("", str(SRC))
]
os.environ.update(
    PYTHONPATH=os.pathsep.join([str(SRC), *others]),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    OMP_WAIT_POLICY="passive",
    TOKENIZERS_PARALLELISM="false",
)

from synthood.config.load import load
from synthood.config.read import mistakes_of
from synthood.config.upgrade import notes
from synthood.errors import SynthoodError
from synthood.reporting.figures.base import FORMS, figures
from synthood.workflow.cluster import gpu_limit, prepare_slurm, without_log
from synthood.workflow.code import START, code_of
from synthood.workflow.copied import leave_the_future, restore_times
from synthood.workflow.machine import ALLOCATION, gpus_found
from synthood.workflow.plan import Plan, artefacts as at, as_parameter
from synthood.workflow.plan.paths import signed
from synthood.workflow.plausible import wrong_files
from synthood.workflow.storage import (
    PASSED_ON,
    SOURCES,
    check_sources,
    digest_of_package,
    forget_provenance,
    link_resume,
    look,
)

# Jobs of this machine fork from one process, which imports torch once; a cluster's jobs are elsewhere.
if workflow.is_main_process and workflow.resource_settings.nodes is None and sys.platform == "linux":
    folder = f"synthood-stages-{os.getpid()}-{secrets.token_hex(8)}"
    os.environ.setdefault("SYNTHOOD_STAGES", str(Path(tempfile.gettempdir(), folder)))
else:
    os.environ.update(SYNTHOOD_STAGES="off")
os.environ.update(SYNTHOOD_CLIENT=str(SRC / "synthood/workflow/stage_client.py"))

for name, value in ALLOCATION.items():
    os.environ.setdefault(name, value)

# Of a module that another workflow imports with a prefix.
PREFIX = workflow.modifier.path_modifier.prefix or ""
RESULTS = f"{PREFIX}results"

if Path(RESULTS).exists() and not Path(RESULTS).is_dir():
    raise WorkflowError(
        f"{Path(RESULTS).resolve()}: a file stands where the folder of results should be; move it away"
    )

if workflow.is_main_process and Path(RESULTS).is_dir():
    restore_times(Path(RESULTS))

# Snakemake has read these files itself, and of a key that is given twice it takes the last. A module is given a dictionary.
main_process = workflow.is_main_process
CONFIG_FILES = [] if workflow.modifier.parent_modifier else list(map(Path, workflow.configfiles))
try:
    of_text = [text for file in CONFIG_FILES for text in mistakes_of(file)] if main_process else []
    plan = Plan(load(config, ", ".join(map(str, CONFIG_FILES)) or "config of the module", of_text), PREFIX)
    if main_process and config.get("version") == 1:
        for note in [note for file in CONFIG_FILES for note in notes(file)]:
            print(note, file=sys.stderr)
    if main_process and (mistakes := list(wrong_files(plan.config))):
        raise SynthoodError("\n".join(map(str, mistakes)))
except SynthoodError as error:
    raise WorkflowError(str(error))

os.environ.update(SYNTHOOD_OVERLAPS=plan.allowed_overlaps(os.environ.get("SYNTHOOD_OVERLAPS", "{}")))

STORED = os.environ.get("SYNTHOOD_RAW")

# Jobs that see nothing of this machine's disk get the sources alone, and the variables that are named here.
SHARED = SharedFSUsage.SOURCES in workflow.storage_settings.shared_fs_usage
try:
    if not main_process:
        check_sources(SRC, os.environ)
    elif (provider := workflow.storage_registry.default_storage_provider) is not None:
        look(provider, workflow.storage_settings.default_storage_prefix)
    if STORED and SHARED and main_process and (local := plan.in_the_way()):
        raise SynthoodError(
            f"{local[0]}: there, and in SYNTHOOD_RAW={STORED} too; move it away, or unset that"
        )
    if SHARED or not main_process:  # who only submits fits nothing
        link_resume(os.environ, PREFIX)
except SynthoodError as error:
    raise WorkflowError(str(error))


def one_of(names):
    return "|".join(map(re.escape, sorted(names))) or "(?!)"


wildcard_constraints:
    dataset=one_of(plan.config.datasets),
    part=one_of(plan.parts()),
    generator=one_of(plan.config.generators),
    outliers=one_of(plan.config.outliers),
    recipe=one_of(plan.config.recipes),
    table=one_of(plan.config.tables),
    seed=r"\d+",
    block=r"\d+",


@signed
def flags(wildcards, input, output):
    """A parameter: the options of a stage that name its files, as the rule names them; an output alone is `output`."""
    files = {name: paths for name, paths in input.items() if paths and name not in ("compared", "stored")}
    files |= dict(output.items()) or {"output": output}
    return " ".join(f"--{name.replace('_', '-')} {paths}" for name, paths in files.items())


@signed
def resume(wildcards, output):
    """A parameter: where a job keeps the state of an unfinished fit, next to the results that it is of.

    Not next to local copies of results in storage, which go with the job.
    """
    place = Path(output[0].partition(f"{RESULTS}/")[2])
    return f"{PREFIX}.resume/{place.parent if place.suffix == '.safetensors' else place}"


def stage(module, **options):
    """The command of a stage: the digest of its code makes an edit of it a change of the rule.

    Its options are those of its files, and those named here.
    """
    named = {name.replace("_", "-"): value for name, value in options.items()}
    more = "".join(f"--{name} " if value is True else f"--{name}={value} " for name, value in named.items())
    return (
        f"SYNTHOOD_CODE={code_of(module)} OMP_NUM_THREADS={{threads}} exec {START} {module} "
        f"--threads {{threads}} --settings {{params.settings:q}} {more}{{params.flags}} > {{log}} 2>&1"
    )


def needs(mem_mb, minutes):
    """Memory and time of a job, more with each attempt: here, since one option of profiles/default hides all of another
    profile's. A profile's or the command line's `set-resources` of a rule comes first.
    """
    return {
        "mem_mb": signed(lambda wildcards, attempt: mem_mb * attempt),
        "runtime": signed(lambda wildcards, attempt: minutes * attempt),
    }


def from_storage(artefact):
    """An input function: raw data and weights in storage that an artefact is made from."""
    return signed(lambda wildcards: [storage(query) for query in plan.stored(artefact.format(**wildcards))])


def with_copies(command):
    """After raw data and weights in storage are where the configuration names them."""
    return (
        f"python -m synthood.workflow.raw_copies {{input.stored}} > {{log}} 2>&1 && {command}"
        if STORED
        else command
    )


def compared(command):
    """A stage that runs only where train, val and test of its dataset share no images that they must not."""
    guard = "python -m synthood.data.overlap_guard {wildcards.dataset} {input.compared} > {log} 2>&1 && "
    return guard + command


def figure_files(drawn_from, shown=lambda path, title: path):
    """What a rule that draws figures writes, each in all its forms; PNG as `shown` in the report."""
    named = [
        (figure, form) for figure in figures().values() if figure.drawn_from == drawn_from for form in FORMS
    ]
    paths = {at.FIGURE.replace("{figure}", f.kind).replace("{form}", form): f.title for f, form in named}
    return [shown(path, title) if path.endswith(".png") else path for path, title in paths.items()]


def reading_guide(drawn_from):
    """What each figure shows, as a list for the report."""
    return "\n\n".join(f"* {f.title}: {f.caption}" for f in figures().values() if f.drawn_from == drawn_from)


def of_tables(*patterns):
    return [p.format(table=table) for table in plan.config.build for p in patterns]


rendered_tables = of_tables(
    at.TABLE,
    at.TABLE_GAINS,
    at.TABLE_WIDE,
    at.TABLE_LEADERBOARD,
    at.TABLE_MARKDOWN,
    at.TABLE_HTML,
    at.TABLE_LATEX,
)


def figures_of(table):
    return [file.format(table=table) for file in (*figure_files("scores"), *figure_files("results"))]


drawn_figures = [file for table in plan.config.build for file in figures_of(table)]
drawn_galleries = [picture for table in plan.config.build for picture in plan.assessments(table)]
drawn_galleries += plan.data_pages()
drawn_outliers = list(dict.fromkeys(p for table in plan.config.build for p in plan.table_outliers(table)))

# A GPU is asked for where this machine has one; on clusters the profile asks (profiles/slurm).
GPU = min(1, gpus_found())

# Not in profiles/default: Snakemake merges it into any --profile, and one job would hold a whole cluster.
GPU_LIMIT = gpu_limit(
    submits=workflow.is_main_process,
    given=workflow.global_resources["gpu"].value if "gpu" in workflow.global_resources else None,
    on_cluster=workflow.resource_settings.nodes is not None,
    environment=os.environ,
)
if GPU_LIMIT is not None:
    workflow.register_resource("gpu", GPU_LIMIT)

if main_process and not SHARED:
    os.environ[SOURCES] = digest_of_package(SRC)
    workflow.register_envvars(*(name for name in PASSED_ON if name in os.environ))
