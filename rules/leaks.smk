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
        stage("synthood.data.leaks") + "--images {input.images} --synthetic {input.synthetic} > {log} 2>&1"
