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
        settings=as_parameter(plan.head_settings),
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
