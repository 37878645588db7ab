rule leaks:
    input:
        images=plan.all_parts,
        synthetic=plan.leak_synthetic,
    output:
        counts="results/{dataset}/leaks.csv",
        pairs="results/{dataset}/leak_pairs.csv",
        page=report(
            "results/{dataset}/leaks.html",
            caption="../report/leaks.rst",
            category="Data",
            labels={"dataset": "{dataset}", "page": "leaks"},
        ),
    log:
        "results/logs/leaks/{dataset}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=as_parameter(plan.leak_settings),
    message:
        "look for images of {wildcards.dataset} that stand in two parts"
    shell:
        stage("synthood.data.leaks.find_leaks")
        + "--images {input.images} --synthetic {input.synthetic} > {log} 2>&1"


rule drop_leaks:
    input:
        images="results/{dataset}/images/{part}.safetensors",
        against=plan.kept_parts,
    output:
        "results/{dataset}/images/without_leaks/{part}.safetensors",
    log:
        "results/logs/drop_leaks/{dataset}-{part}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=as_parameter(plan.drop_settings),
    message:
        "leave out images of {wildcards.part} of {wildcards.dataset} that stand in ID parts"
    shell:
        stage("synthood.data.leaks.drop_leaks")
        + "--images {input.images} --against {input.against} > {log} 2>&1"
