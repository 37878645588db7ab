rule fit_encoder:
    input:
        train="results/{dataset}/images/train.safetensors",
        generator=plan.outlier_generator,
    output:
        "results/{dataset}/outliers/{outliers}/encoder.safetensors",
    log:
        "results/logs/fit_encoder/{dataset}-{outliers}.log",
    benchmark:
        "results/benchmarks/fit_encoder/{dataset}-{outliers}.tsv"
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.outlier_settings("encoder"),
        resume=".resume/{dataset}/outliers/{outliers}",
    message:
        "fit the text-aligned encoder of {wildcards.outliers} on {wildcards.dataset}"
    shell:
        stage("synthood.outliers.fit_encoder")
        + "--resume {params.resume:q} --train {input.train} --generator {input.generator} > {log} 2>&1"


rule embed:
    input:
        train="results/{dataset}/images/train.safetensors",
        encoder="results/{dataset}/outliers/{outliers}/encoder.safetensors",
    output:
        "results/{dataset}/outliers/{outliers}/embeddings.safetensors",
    log:
        "results/logs/embed/{dataset}-{outliers}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        settings=lambda wildcards: "{}",
    message:
        "embed {wildcards.dataset} for {wildcards.outliers}"
    shell:
        stage("synthood.outliers.embed") + "--train {input.train} --encoder {input.encoder} > {log} 2>&1"


rule boundary:
    input:
        "results/{dataset}/outliers/{outliers}/embeddings.safetensors",
    output:
        "results/{dataset}/outliers/{outliers}/boundary.safetensors",
    log:
        "results/logs/boundary/{dataset}-{outliers}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.outlier_settings("boundary"),
    message:
        "find boundary outliers of {wildcards.dataset} for {wildcards.outliers}"
    shell:
        stage("synthood.outliers.boundary") + "--embeddings {input} > {log} 2>&1"


rule latents:
    input:
        generator=plan.outlier_generator,
        boundary="results/{dataset}/outliers/{outliers}/boundary.safetensors",
    output:
        "results/{dataset}/outliers/{outliers}/latents.safetensors",
    log:
        "results/logs/latents/{dataset}-{outliers}.log",
    benchmark:
        "results/benchmarks/latents/{dataset}-{outliers}.tsv"
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.outlier_settings("latents"),
    message:
        "sample outlier latents of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.latents")
        + "--generator {input.generator} --boundary {input.boundary} > {log} 2>&1"


rule gate:
    input:
        train="results/{dataset}/images/train.safetensors",
        val="results/{dataset}/images/val.safetensors",
        generator=plan.outlier_generator,
        latents="results/{dataset}/outliers/{outliers}/latents.safetensors",
        classifier=plan.gate_classifier,
    output:
        "results/{dataset}/outliers/{outliers}/gate.safetensors",
    log:
        "results/logs/gate/{dataset}-{outliers}.log",
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.outlier_settings("gate"),
    message:
        "gate the outliers of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.gate")
        + "--generator {input.generator} --latents {input.latents} --classifier {input.classifier} --train {input.train} --val {input.val} > {log} 2>&1"
