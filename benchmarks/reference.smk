# Plain Snakemake with the jobs of another plan, as planning.py has written them to rules.json.
import json
from pathlib import Path

RULES = json.loads(Path("rules.json").read_text())


wildcard_constraints:
    **{name: "[^/]+" for one in RULES.values() for name in one["names"]},


for name, one in RULES.items():
    if one["outputs"]:

        rule:
            name:
                name
            input:
                lambda wildcards, inputs=one["inputs"]: inputs["/".join(wildcards)],
            output:
                one["outputs"],
            params:
                settings=lambda wildcards: "/".join(wildcards),
            shell:
                "stage {params.settings} {input} {output}"

    else:

        rule:
            name:
                name
            input:
                one["inputs"][""],
