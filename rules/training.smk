rule train:
    input:
        train="results/{dataset}/images/train.safetensors",
        val="results/{dataset}/images/val.safetensors",
        synthetic=plan.synthetic,
        warm_start=plan.warm_start,
        teacher=plan.teacher,
        outliers=plan.outliers,
    output:
        model="results/{dataset}/models/{recipe}/seed{seed}/model.safetensors",
        history="results/{dataset}/models/{recipe}/seed{seed}/history.csv",
        heads="results/{dataset}/models/{recipe}/seed{seed}/heads.safetensors",
    log:
        "results/logs/train/{dataset}-{recipe}-seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{dataset}-{recipe}-seed{seed}.tsv"
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
    message:
        "train {wildcards.recipe} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        stage("synthood.training.train")
        + "--gpus {resources.gpu} --resume {params.resume:q} --seed {wildcards.seed} --train {input.train} "
        "--val {input.val} --synthetic {input.synthetic} --warm-start {input.warm_start} "
        "--teacher {input.teacher} --outliers {input.outliers} > {log} 2>&1"
