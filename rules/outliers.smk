rule fit_encoder:
    input:
        train=at.TRAIN,
        generator=plan.outlier_generator,
        compared=at.OVERLAPS_ID,
    output:
        at.ENCODER,
    log:
        "results/logs/fit_encoder/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=480),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.encoder_settings),
        resume=resume,
    message:
        "fit the text-aligned encoder of {wildcards.outliers} on {wildcards.dataset}"
    shell:
        compared(stage("synthood.outliers.fit_encoder", gpus="{resources.gpu}", resume="{params.resume:q}"))


rule embed:
    input:
        train=at.TRAIN,
        encoder=plan.fitted_encoder,
        generator=plan.ready_made_generator,
        model=plan.encoder_model,
        stored=from_storage(at.EMBEDDINGS),
    output:
        at.EMBEDDINGS,
    log:
        "results/logs/embed/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=240),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.encoder_settings),
        raw=plan.encoder_state,
    message:
        "embed {wildcards.dataset} for {wildcards.outliers}"
    shell:
        with_copies(stage("synthood.outliers.embed", gpus="{resources.gpu}"))


rule boundary:
    input:
        embeddings=at.EMBEDDINGS,
    output:
        at.BOUNDARY,
    log:
        "results/logs/boundary/{dataset}/{outliers}.log",
    wildcard_constraints:
        outliers=one_of(plan.outliers_by("boundary")),
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=8000, minutes=240),
    params:
        flags=flags,
        settings=as_parameter(plan.outlier_settings("boundary")),
    message:
        "find boundary outliers of {wildcards.dataset} for {wildcards.outliers}"
    shell:
        stage("synthood.outliers.boundary")


rule crossing:
    input:
        embeddings=at.EMBEDDINGS,
    output:
        at.BOUNDARY,
    log:
        "results/logs/crossing/{dataset}/{outliers}.log",
    wildcard_constraints:
        outliers=one_of(plan.outliers_by("crossing")),
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=8000, minutes=240),
    params:
        flags=flags,
        settings=as_parameter(plan.outlier_settings("crossing")),
    message:
        "push embeddings of {wildcards.dataset} across the boundary for {wildcards.outliers}"
    shell:
        stage("synthood.outliers.cross")


rule invert:
    input:
        train=at.TRAIN,
        val=at.VAL,
        generator=plan.outlier_generator,
        compared=at.OVERLAPS_ID,
    output:
        at.INVERTED,
    log:
        "results/logs/invert/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=480),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.inversion_settings),
        resume=resume,
    message:
        "find a token for each ID image of {wildcards.dataset} for {wildcards.outliers}"
    shell:
        compared(stage("synthood.outliers.invert", gpus="{resources.gpu}", resume="{params.resume:q}"))


rule fit_flow:
    input:
        inverted=at.INVERTED,
    output:
        at.FLOW,
    log:
        "results/logs/fit_flow/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=8000, minutes=240),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.flow_settings),
        resume=resume,
    message:
        "fit the volume-preserving network of {wildcards.outliers} on {wildcards.dataset}"
    shell:
        stage("synthood.outliers.fit_flow", gpus="{resources.gpu}", resume="{params.resume:q}")


rule tails:
    input:
        inverted=at.INVERTED,
        flow=at.FLOW,
    output:
        at.TAILS,
    log:
        "results/logs/tails/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=8000, minutes=60),
    params:
        flags=flags,
        settings=as_parameter(plan.tail_settings),
    message:
        "draw tokens outside the manifolds of {wildcards.dataset} for {wildcards.outliers}"
    shell:
        stage("synthood.outliers.tails")


rule latents:
    input:
        generator=plan.outlier_generator,
        boundary=plan.found_outliers,
        train=plan.encoded_images,
    output:
        at.LATENTS,
    log:
        "results/logs/latents/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=480),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.latents_settings),
    message:
        "sample outlier latents of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.latents", gpus="{resources.gpu}")


rule guided:
    input:
        generator=plan.outlier_generator,
        classifier=plan.guiding_classifier,
        train=at.TRAIN,
    output:
        at.GUIDED,
    log:
        "results/logs/guided/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=960),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.guided_settings),
    message:
        "sample guided latents of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.guided", gpus="{resources.gpu}")


rule gate:
    input:
        train=at.TRAIN,
        val=at.VAL,
        generator=plan.outlier_generator,
        latents=plan.gated_latents,
        classifier=plan.gate_classifier,
    output:
        at.GATE,
    log:
        "results/logs/gate/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=240),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.outlier_settings("gate")),
    message:
        "gate the outliers of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.gate", gpus="{resources.gpu}")


rule custom_outliers:
    input:
        train=at.TRAIN,
    output:
        at.CUSTOM_OUTLIERS,
    log:
        "results/logs/custom_outliers/{dataset}/{outliers}.log",
    priority: 80
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=240),
    params:
        flags=flags,
        settings=as_parameter(plan.custom_outliers_settings),
    message:
        "make the outliers of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.custom_outliers")


rule assess_outliers:
    input:
        train=at.TRAIN,
        val=at.VAL,
        boundary=plan.assessed_boundary,
        gate=at.GATE,
        judge=plan.judge,
    output:
        figures=at.OUTLIER_FIGURES,
        gallery=report(
            at.OUTLIER_GALLERY,
            caption="../report/outliers.rst",
            category="Outliers",
            labels={"dataset": "{dataset}", "outliers": "{outliers}", "figure": "gallery"},
        ),
    log:
        "results/logs/assess_outliers/{dataset}/{outliers}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=4000, minutes=60),
    params:
        flags=flags,
        settings=as_parameter(plan.no_settings),
    message:
        "assess the outliers of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.assess_outliers", title="{wildcards.outliers}")


rule scale_curve:
    input:
        generator=plan.outlier_generator,
        boundary=at.BOUNDARY,
        train=at.TRAIN,
        judge=plan.judge,
    output:
        table=at.CURVE_TABLE,
        figure=report(
            at.CURVE,
            caption="../report/curve.rst",
            category="Outliers",
            labels={"dataset": "{dataset}", "outliers": "{outliers}", "figure": "curve over the scale"},
        ),
    log:
        "results/logs/scale_curve/{dataset}/{outliers}.log",
    conda:
        "../envs/synthood.yaml"
    resources:
        **needs(mem_mb=16000, minutes=480),
        gpu=GPU,
    params:
        flags=flags,
        settings=as_parameter(plan.curve_settings),
    message:
        "draw the curve over the scale of {wildcards.outliers} for {wildcards.dataset}"
    shell:
        stage("synthood.outliers.scale_curve", gpus="{resources.gpu}")
