rule fit_generator:
    input:
        train="results/{dataset}/images/train.safetensors",
        also=plan.also,
        classifier=plan.watching,
        compared="results/{dataset}/overlaps_id.csv",
    output:
        directory("results/{dataset}/generators/{generator}"),
    log:
        "results/logs/fit_generator/{dataset}-{generator}.log",
    benchmark:
        "results/benchmarks/fit_generator/{dataset}-{generator}.tsv"
    priority: 100
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=720,
    params:
        settings=as_parameter(plan.fit_settings),
        resume=".resume/{dataset}/generators/{generator}",
        raw=plan.generator_state,
    message:
        "fit generator {wildcards.generator} on {wildcards.dataset}"
    shell:
        compared(stage("synthood.generators.fit_generator"))
        + "--gpus {resources.gpu} --resume {params.resume:q} --raw {params.raw:q} --train {input.train} "
        "--also {input.also} --classifier {input.classifier} > {log} 2>&1"


rule synthesise:
    input:
        "results/{dataset}/generators/{generator}",
    output:
        "results/{dataset}/synthetic/{generator}/block{block}.safetensors",
    log:
        "results/logs/synthesise/{dataset}-{generator}-block{block}.log",
    benchmark:
        "results/benchmarks/synthesise/{dataset}-{generator}-block{block}.tsv"
    priority: 90
    conda:
        "../envs/diffusion.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=as_parameter(plan.block_settings),
    message:
        "synthesise block {wildcards.block} of {wildcards.dataset} with {wildcards.generator}"
    shell:
        stage("synthood.generators.synthesise") + "--gpus {resources.gpu} --generator {input} > {log} 2>&1"


rule filter:
    input:
        synthetic=lambda wildcards: plan.sampled_blocks(wildcards.dataset, wildcards.generator),
        train="results/{dataset}/images/train.safetensors",
        val="results/{dataset}/images/val.safetensors",
        classifier=plan.filter_classifier,
    output:
        images="results/{dataset}/synthetic/{generator}/kept.safetensors",
        counts="results/{dataset}/synthetic/{generator}/kept.json",
    log:
        "results/logs/filter/{dataset}-{generator}.log",
    wildcard_constraints:
        generator=one_of(plan.filtered_generators()),
    priority: 90
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=GPU,
        mem_mb=8000,
        runtime=240,
    params:
        settings=as_parameter(plan.filter_settings),
    message:
        "filter the images of {wildcards.generator} for {wildcards.dataset}"
    shell:
        stage("synthood.generators.filter")
        + "--gpus {resources.gpu} --synthetic {input.synthetic} --train {input.train} --val {input.val} "
        "--classifier {input.classifier} > {log} 2>&1"


rule assess:
    input:
        synthetic=lambda wildcards: plan.blocks(wildcards.dataset, wildcards.generator),
        train="results/{dataset}/images/train.safetensors",
        test="results/{dataset}/images/test.safetensors",
        judge=plan.judge,
    output:
        figures="results/{dataset}/synthetic/{generator}/quality.json",
        gallery=report(
            "results/{dataset}/synthetic/{generator}/quality.png",
            caption="../report/gallery.rst",
            category="Synthetic images",
            labels={"dataset": "{dataset}", "generator": "{generator}"},
        ),
    log:
        "results/logs/assess/{dataset}-{generator}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=as_parameter(plan.assess_settings),
    message:
        "assess the images of {wildcards.generator} for {wildcards.dataset}"
    shell:
        stage("synthood.generators.assess")
        + "--title {wildcards.generator} --synthetic {input.synthetic} --train {input.train} --test {input.test} "
        "--judge {input.judge} > {log} 2>&1"
