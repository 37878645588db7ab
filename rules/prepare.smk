onstart:
    if missing := plan.missing_raw():
        told = "Raw files that are not there (`synthood fetch` gets what may be had):"
        print(told, *missing, sep="\n  ", file=sys.stderr)


rule prepare:
    output:
        "results/{dataset}/images/{part}.safetensors",
    log:
        "results/logs/prepare/{dataset}-{part}.log",
    conda:
        "../envs/torch.yaml"
    threads: plan.prepare_threads
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        settings=as_parameter(plan.part_settings),
        raw=plan.raw_state,
    message:
        "prepare {wildcards.part} of {wildcards.dataset}"
    shell:
        stage("synthood.data.prepare") + "--raw {params.raw:q} > {log} 2>&1"


# Nothing is learned or evaluated before a dataset's parts have been compared. The rules that wait for it are `compared`
# (common.smk) and read it as `ancient`: an added or edited set is compared anew, but nothing is trained again.
rule overlaps:
    input:
        plan.compared_parts,
    output:
        counts="results/{dataset}/overlaps.csv",
        refused="results/{dataset}/overlaps_refused.txt",
    log:
        "results/logs/overlaps/{dataset}.log",
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
