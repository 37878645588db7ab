rule fit_encoder:
    input:
        train="results/{dataset}/images/train.safetensors",
        generator=plan.outlier_generator,
        compared="results/{dataset}/overlaps_id.csv",
    output:
        "results/{dataset}/outliers/{outliers}/encoder.safetensors",
    log:
        "results/logs/fit_encoder/{dataset}-{outliers}.log",
    benchmark:
        "results/benchmarks/fit_encoder/{dataset}-{outliers}.tsv"
    priority: 80
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.outlier_settings("encoder"),
        resume=".resume/{dataset}/outliers/{outliers}",
    message:
        "fit the text-aligned encoder of {wildcards.outliers} on {wildcards.dataset}"
    shell:
        compared(stage("synthood.outliers.fit_encoder"))
        + "--gpus {resources.gpu} --resume {params.resume:q} --train {input.train} --generator {input.generator} > {log} 2>&1"


rule embed:
    input:
        train="results/{dataset}/images/train.safetensors",
        encoder=plan.fitted_encoder,
        generator=plan.ready_made_generator,
        model=plan.encoder_model,
    output:
        "results/{dataset}/outliers/{outliers}/embeddings.safetensors",
    log:
        "results/logs/embed/{dataset}-{outliers}.log",
    benchmark:
        "results/benchmarks/embed/{dataset}-{outliers}.tsv"
    priority: 80
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.embed_settings,
        raw=plan.encoder_state,
    message:
        "embed {wildcards.dataset} for {wildcards.outliers}"
    shell:
        stage("synthood.outliers.embed")
        + "--gpus {resources.gpu} --train {input.train} --encoder {input.encoder} --generator {input.generator} "
        "--model {input.model} > {log} 2>&1"


rule boundary:
    input:
        "results/{dataset}/outliers/{outliers}/embeddings.safetensors",
    output:
        "results/{dataset}/outliers/{outliers}/boundary.safetensors",
    log:
        "results/logs/boundary/{dataset}-{outliers}.log",
    priority: 80
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
        train=plan.encoded_images,
    output:
        "results/{dataset}/outliers/{outliers}/latents.safetensors",
    log:
        "results/logs/latents/{dataset}-{outliers}.log",
    benchmark:
        "results/benchmarks/latents/{dataset}-{outliers}.tsv"
    priority: 80
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.outlier_settings("latents"),
    message:
        "sample outlier latents of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.latents")
        + "--gpus {resources.gpu} --generator {input.generator} --boundary {input.boundary} --train {input.train} "
        "> {log} 2>&1"


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
    benchmark:
        "results/benchmarks/gate/{dataset}-{outliers}.tsv"
    priority: 80
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=plan.outlier_settings("gate"),
    message:
        "gate the outliers of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.gate")
        + "--gpus {resources.gpu} --generator {input.generator} --latents {input.latents} --classifier {input.classifier} "
        "--train {input.train} --val {input.val} > {log} 2>&1"


rule assess_outliers:
    input:
        train="results/{dataset}/images/train.safetensors",
        val="results/{dataset}/images/val.safetensors",
        boundary="results/{dataset}/outliers/{outliers}/boundary.safetensors",
        gate="results/{dataset}/outliers/{outliers}/gate.safetensors",
        judge=plan.judge,
    output:
        figures="results/{dataset}/outliers/{outliers}/assessment.json",
        gallery=report(
            "results/{dataset}/outliers/{outliers}/gallery.png",
            caption="../report/outliers.rst",
            category="Outliers",
            labels={"dataset": "{dataset}", "outliers": "{outliers}", "figure": "gallery"},
        ),
    log:
        "results/logs/assess_outliers/{dataset}-{outliers}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=lambda wildcards: "{}",
    message:
        "assess the outliers of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.assess_outliers")
        + "--title {wildcards.outliers} --train {input.train} --val {input.val} --boundary {input.boundary} "
        "--gate {input.gate} --judge {input.judge} > {log} 2>&1"


rule scale_curve:
    input:
        generator=plan.outlier_generator,
        boundary="results/{dataset}/outliers/{outliers}/boundary.safetensors",
        train="results/{dataset}/images/train.safetensors",
        judge=plan.judge,
    output:
        table="results/{dataset}/outliers/{outliers}/curve.csv",
        figure=report(
            "results/{dataset}/outliers/{outliers}/curve.png",
            caption="../report/curve.rst",
            category="Outliers",
            labels={"dataset": "{dataset}", "outliers": "{outliers}", "figure": "curve over the scale"},
        ),
    log:
        "results/logs/scale_curve/{dataset}-{outliers}.log",
    benchmark:
        "results/benchmarks/scale_curve/{dataset}-{outliers}.tsv"
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=as_parameter(plan.curve_settings),
    message:
        "draw the curve over the scale of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.scale_curve")
        + "--gpus {resources.gpu} --generator {input.generator} --boundary {input.boundary} --train {input.train} "
        "--judge {input.judge} > {log} 2>&1"
