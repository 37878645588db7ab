rule extract:
    input:
        model="results/{dataset}/models/{recipe}/seed{seed}/model.safetensors",
        heads=plan.heads_read,
        images=plan.evaluated,
    output:
        directory("results/{dataset}/models/{recipe}/seed{seed}/features"),
    log:
        "results/logs/extract/{dataset}-{recipe}-seed{seed}.log",
    benchmark:
        "results/benchmarks/extract/{dataset}-{recipe}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=120,
    params:
        settings=as_parameter(plan.extract_settings),
    message:
        "extract features of {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        stage("synthood.evaluation.extract")
        + "--gpus {resources.gpu} --model {input.model} --heads {input.heads} --images {input.images} > {log} 2>&1"


rule score:
    input:
        "results/{dataset}/models/{recipe}/seed{seed}/features",
    output:
        scores="results/{dataset}/models/{recipe}/seed{seed}/scores.parquet",
        metrics="results/{dataset}/models/{recipe}/seed{seed}/metrics.csv",
        search="results/{dataset}/models/{recipe}/seed{seed}/search.csv",
    log:
        "results/logs/score/{dataset}-{recipe}-seed{seed}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        settings=as_parameter(plan.score_settings),
    message:
        "score {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        stage("synthood.evaluation.score") + "--features {input} > {log} 2>&1"


rule score_model:
    input:
        model="results/{dataset}/models/{recipe}/seed{seed}/model.safetensors",
        images=plan.evaluated,
    output:
        scores="results/{dataset}/models/{recipe}/seed{seed}/{access}/scores.parquet",
        metrics="results/{dataset}/models/{recipe}/seed{seed}/{access}/metrics.csv",
        search="results/{dataset}/models/{recipe}/seed{seed}/{access}/search.csv",
    log:
        "results/logs/score_model/{dataset}-{recipe}-seed{seed}-{access}.log",
    benchmark:
        "results/benchmarks/score_model/{dataset}-{recipe}-seed{seed}-{access}.tsv"
    wildcard_constraints:
        access="maps|gradients",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=as_parameter(plan.score_model_settings),
    message:
        "score {wildcards.recipe} on {wildcards.dataset} by {wildcards.access}, seed {wildcards.seed}"
    shell:
        stage("synthood.evaluation.score_model")
        + "--gpus {resources.gpu} --model {input.model} --images {input.images} > {log} 2>&1"


rule score_ensemble:
    input:
        plan.ensemble_members,
    output:
        scores="results/{dataset}/models/{recipe}/ensembles/{table}/scores.parquet",
        metrics="results/{dataset}/models/{recipe}/ensembles/{table}/metrics.csv",
        search="results/{dataset}/models/{recipe}/ensembles/{table}/search.csv",
    log:
        "results/logs/score_ensemble/{dataset}-{recipe}-{table}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=as_parameter(plan.score_ensemble_settings),
    message:
        "score the ensemble of {wildcards.recipe} on {wildcards.dataset} over the seeds of {wildcards.table}"
    shell:
        stage("synthood.evaluation.score_ensemble") + "--features {input} > {log} 2>&1"
