MISSING = "Raw files that are not there (`synthood fetch --config FILE` gets what is public):"

if workflow.is_main_process and workflow.output_settings.dryrun:
    if missing := plan.missing():
        print(MISSING, *missing, sep="\n  ", file=sys.stderr)


onstart:
    if workflow.executor_plugin.name == "slurm":
        try:
            ask_squeue_without_accounting(workflow.executor_settings)
        except SynthoodError as error:
            raise WorkflowError(str(error))
    made = {str(path) for job in workflow.dag.needrun_jobs() for path in job.output}
    if not workflow.touch and (missing := plan.missing_for(made)):
        raise WorkflowError("\n  ".join([MISSING, *map(str, missing)]))


rule prepare:
    output:
        "results/{dataset}/images/{part}.safetensors",
    log:
        "results/logs/prepare/{dataset}-{part}.log",
    priority: 1000
    conda:
        "../envs/torch.yaml"
    threads: plan.prepare_threads
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        # An artefact says which dataset it is of, so that --cache must not take one for the other.
        dataset="{dataset}",
        settings=as_parameter(plan.part_settings),
        raw=plan.raw_state,
    message:
        "prepare {wildcards.part} of {wildcards.dataset}"
    shell:
        stage("synthood.data.prepare") + "--raw {params.raw:q} > {log} 2>&1"


# All that learns waits for `overlaps_id`, all tables and figures for `overlaps`. An OOD set must not be an input, not even
# an `ancient` one, of what learns: Snakemake would overlook other reasons to train again when the set is edited.
rule overlaps_id:
    input:
        plan.id_parts,
    output:
        "results/{dataset}/overlaps_id.csv",
    log:
        "results/logs/overlaps_id/{dataset}.log",
    priority: 1000
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=as_parameter(plan.id_overlap_settings),
    message:
        "compare train, val and test of {wildcards.dataset}"
    shell:
        stage("synthood.data.overlaps") + "--count-only --images {input} > {log} 2>&1"


rule overlaps:
    input:
        plan.compared_parts,
    output:
        "results/{dataset}/overlaps.csv",
    log:
        "results/logs/overlaps/{dataset}.log",
    priority: 1000
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=as_parameter(plan.overlap_settings),
    message:
        "compare the parts of {wildcards.dataset}"
    shell:
        stage("synthood.data.overlaps") + "--images {input} > {log} 2>&1"


rule sheet:
    input:
        plan.all_parts,
    output:
        report(
            "results/{dataset}/images/sheet.png",
            caption="../report/sheet.rst",
            category="Data",
            labels={"dataset": "{dataset}", "page": "contact sheet"},
        ),
    log:
        "results/logs/sheet/{dataset}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=lambda wildcards: "{}",
    message:
        "draw the contact sheet of {wildcards.dataset}"
    shell:
        stage("synthood.data.sheet") + "--title {wildcards.dataset} --images {input} > {log} 2>&1"
