rule train:
    input:
        train="results/{dataset}/images/train.safetensors",
        val="results/{dataset}/images/val.safetensors",
        synthetic=plan.synthetic,
        warm_start=plan.warm_start,
        teacher=plan.teacher,
        outliers=plan.outliers,
        exposure=plan.exposure,
        compared="results/{dataset}/overlaps_id.csv",
    output:
        model="results/{dataset}/models/{recipe}/seed{seed}/model.safetensors",
        history="results/{dataset}/models/{recipe}/seed{seed}/history.csv",
        heads="results/{dataset}/models/{recipe}/seed{seed}/heads.safetensors",
    log:
        "results/logs/train/{dataset}-{recipe}-seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{dataset}-{recipe}-seed{seed}.tsv"
    wildcard_constraints:
        recipe=one_of(plan.recipes("train")),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=720,
    params:
        settings=as_parameter(plan.train_settings),
        resume=".resume/{dataset}/models/{recipe}/seed{seed}",
        raw=plan.pictures_state,
    message:
        "train {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        compared(stage("synthood.training.train"))
        + "--gpus {resources.gpu} --resume {params.resume:q} --seed {wildcards.seed} --train {input.train} "
        "--val {input.val} --synthetic {input.synthetic} --warm-start {input.warm_start} "
        "--teacher {input.teacher} --outliers {input.outliers} "
        "--exposure {input.exposure} --raw {params.raw:q} --memory {resources.mem_mb} > {log} 2>&1"


rule import_checkpoint:
    input:
        val="results/{dataset}/images/val.safetensors",
        compared="results/{dataset}/overlaps_id.csv",
    output:
        model="results/{dataset}/models/{recipe}/seed{seed}/model.safetensors",
        history="results/{dataset}/models/{recipe}/seed{seed}/history.csv",
        heads="results/{dataset}/models/{recipe}/seed{seed}/heads.safetensors",
    log:
        "results/logs/import_checkpoint/{dataset}-{recipe}-seed{seed}.log",
    wildcard_constraints:
        recipe=one_of(plan.recipes("checkpoint")),
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=as_parameter(plan.checkpoint_settings),
        raw=plan.checkpoint_state,
    message:
        "import {wildcards.recipe} for {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        compared(stage("synthood.training.import_checkpoint"))
        + "--raw {params.raw:q} --val {input.val} > {log} 2>&1"
