rule prepare:
    output:
        "results/{dataset}/images/{part}.safetensors",
    log:
        "results/logs/prepare/{dataset}-{part}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        settings=as_parameter(plan.part_settings),
    message:
        "prepare {wildcards.part} of {wildcards.dataset}"
    shell:
        stage("synthood.data.prepare") + "> {log} 2>&1"
