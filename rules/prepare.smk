MISSING = "Raw files that are not there (`synthood fetch --config FILE` gets what is public):"

if workflow.is_main_process and workflow.output_settings.dryrun:
    if missing := plan.missing():
        print(MISSING, *missing, sep="\n  ", file=sys.stderr)


onstart:
    if workflow.storage_registry.default_storage_provider is not None:
        forget_provenance(Path(workflow.storage_settings.local_storage_prefix))
    if workflow.executor_plugin.name == "slurm":
        try:
            prepare_slurm(workflow)
        except SynthoodError as error:
            raise WorkflowError(str(error))
    made = {str(path) for job in workflow.dag.needrun_jobs() for path in job.output}
    if SHARED:
        needed = {Path(path) for job in workflow.dag.needrun_jobs() for path in job.input}
        leave_the_future(Path(RESULTS), needed)
    if SHARED and not workflow.touch and (missing := plan.missing_for(made)):
        raise WorkflowError("\n  ".join([MISSING, *map(str, missing)]))


onerror:
    if workflow.executor_plugin.name == "slurm":
        for told in without_log(workflow.scheduler._executor.run_uuid):
            print(told, file=sys.stderr)


rule prepare:
    input:
        stored=from_storage(at.IMAGES),
    output:
        at.IMAGES,
    log:
        "results/logs/prepare/{dataset}/{part}.log",
    priority: 1000
    conda:
        "../envs/synthood.yaml"
    threads: plan.prepare_threads
    resources:
        **needs(mem_mb=2000, minutes=240),
    params:
        flags=flags,
        # An artefact says which dataset it is of, so that --cache must not take one for the other.
        dataset="{dataset}",
        settings=as_parameter(plan.part_settings),
        raw=plan.raw_state,
    message:
        "prepare {wildcards.part} of {wildcards.dataset}"
    shell:
        with_copies(stage("synthood.data.prepare", raw="{params.raw:q}"))


# All that learns waits for `overlaps_id`, all tables and figures for `overlaps`. An OOD set must not be an input, not even
# an `ancient` one, of what learns: Snakemake would overlook other reasons to train again when the set is edited.
rule overlaps_id:
    input:
        images=plan.id_parts,
    output:
        at.OVERLAPS_ID,
    log:
        "results/logs/overlaps_id/{dataset}.log",
    priority: 1000
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=60),
    params:
        flags=flags,
        settings=as_parameter(plan.id_overlap_settings),
    message:
        "compare train, val and test of {wildcards.dataset}"
    shell:
        stage("synthood.data.overlaps", count_only=True)


rule overlaps:
    input:
        images=plan.compared_parts,
    output:
        at.OVERLAPS,
    log:
        "results/logs/overlaps/{dataset}.log",
    priority: 1000
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=60),
    params:
        flags=flags,
        settings=as_parameter(plan.overlap_settings),
    message:
        "compare the parts of {wildcards.dataset}"
    shell:
        stage("synthood.data.overlaps")


rule sheet:
    input:
        images=plan.all_parts,
    output:
        report(
            at.SHEET,
            caption="../report/sheet.rst",
            category="Data",
            labels={"dataset": "{dataset}", "page": "contact sheet"},
        ),
    log:
        "results/logs/sheet/{dataset}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=2000, minutes=30),
    params:
        flags=flags,
        settings=as_parameter(plan.no_settings),
    message:
        "draw the contact sheet of {wildcards.dataset}"
    shell:
        stage("synthood.data.sheet", title="{wildcards.dataset}")
