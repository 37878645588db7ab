"""Snakemake's command line in forks of this process, in whose folder a checkout is; a line of JSON asks for each.

What a command costs most, imports and digests of code, is there already. Digests follow edits; settings modules, the
plan and the rest that planning imports must stay as they are.
"""

import gc
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import snakemake.cli
from snakemake.common import parse_uri

sys.path.insert(0, str(Path("src").resolve()))
from synthood.config.load import load_file  # the checkout's own
from synthood.forecast import ask_snakemake
from synthood.plugins import plugins_in
from synthood.workflow import plan  # noqa: F401 for the forks
from synthood.workflow.code import code_of, shapes_behind
from synthood.workflow.code_cache import cache_of
from synthood.workflow.stage_server import leave

ASK = "ask_snakemake"


def forked(arguments: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Exit code and output of a command."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if not child:
            for stream, number in ((os.open(os.devnull, os.O_RDONLY), 0), (output.fileno(), 1), (output.fileno(), 2)):
                os.dup2(stream, number)
            os.environ.update(variables)
            cache_of.cache_clear()  # the checkout may be edited by now
            if arguments[0] == ASK:
                leave(lambda: ask_snakemake.main(*map(Path, arguments[1:])))
            leave(lambda: sys.exit(snakemake.cli.main(arguments)))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return code, output.read().decode()


snakemake.cli.get_argument_parser()  # imports plugins
parse_uri("Snakefile")  # imports clients of storage
for rules in Path("rules").glob("*.smk"):
    for module in re.findall(r'stage\("([\w.]+)"', rules.read_text()):
        code_of(module)
for _, plugin in plugins_in(load_file(Path(__file__).with_name("config.yaml"))):  # the checkout's may be edited by now
    for used in (type(plugin), *plugin.uses()):
        shapes_behind(used.__module__, used.__name__)  # without code_of_plugin, which would remember a digest
gc.freeze()  # the forks collect their own garbage alone
for line in sys.stdin:
    print(json.dumps(forked(**json.loads(line))), flush=True)
