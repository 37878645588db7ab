rule tabulate:
    input:
        scores=lambda wildcards: plan.table_runs(wildcards.table, "scores.parquet"),
        images=lambda wildcards: plan.table_images(wildcards.table),
        beside=lambda wildcards: plan.scores_beside(wildcards.table),
        compared=lambda wildcards: plan.compared(wildcards.table),
    output:
        csv=report(
            "results/tables/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "form": "CSV"},
        ),
        markdown="results/tables/{table}.md",
        html=report(
            "results/tables/{table}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}", "form": "page"},
        ),
    log:
        "results/logs/tabulate/{table}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=as_parameter(plan.tabulate_settings),
    message:
        "tabulate {wildcards.table}"
    shell:
        stage("synthood.reporting.tabulate")
        + "--scores {input.scores} --images {input.images} --beside {input.beside} > {log} 2>&1"


rule plot:
    input:
        scores=lambda wildcards: plan.table_runs(wildcards.table, "scores.parquet"),
        beside=lambda wildcards: plan.scores_beside(wildcards.table),
        compared=lambda wildcards: plan.compared(wildcards.table),
        histories=lambda wildcards: plan.table_runs(wildcards.table, "history.csv"),
    output:
        roc=report(
            "results/figures/{table}/roc.png",
            caption="../report/roc.rst",
            category="Figures",
            labels={"table": "{table}", "figure": "ROC curves"},
        ),
        histograms=report(
            "results/figures/{table}/histograms.png",
            caption="../report/histograms.rst",
            category="Figures",
            labels={"table": "{table}", "figure": "score histograms"},
        ),
        training=report(
            "results/figures/{table}/training.png",
            caption="../report/training.rst",
            category="Figures",
            labels={"table": "{table}", "figure": "training curves"},
        ),
    log:
        "results/logs/plot/{table}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=as_parameter(plan.plot_settings),
    message:
        "plot the figures of {wildcards.table}"
    shell:
        stage("synthood.reporting.plot")
        + "--scores {input.scores} --beside {input.beside} --histories {input.histories} > {log} 2>&1"


rule map:
    input:
        heads="results/{dataset}/models/{recipe}/seed{seed}/heads.safetensors",
        features="results/{dataset}/models/{recipe}/seed{seed}/features",
        outliers=plan.outliers,
    output:
        report(
            "results/{dataset}/models/{recipe}/seed{seed}/map.png",
            caption="../report/map.rst",
            category="Outliers",
            labels={"dataset": "{dataset}", "recipe": "{recipe}", "figure": "map"},
        ),
    log:
        "results/logs/map/{dataset}-{recipe}-seed{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=as_parameter(plan.map_settings),
    message:
        "map the outliers of {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        stage("synthood.reporting.map")
        + "--heads {input.heads} --features {input.features} --outliers {input.outliers} > {log} 2>&1"
