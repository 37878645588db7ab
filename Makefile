# make demo   results/report/index.html with all tables        make test   all tests
# make photos   from photographs to a detector that is tried on new ones
# make test-slurm   the workflow on a Slurm of one node (Debian: slurm-wlm, munge), in 15 to 30 minutes
# make drill   100 random kills of stages and Snakemake, in 20 to 40 minutes; KILLS=300 SEED=1; goes on where it was stopped
# make bench  docs/benchmarks.md, ours beside its peers; QUICK=1: smaller
# make test-storage   results in object storage, jobs of Kubernetes; both on loopback
# All make .venv if there is none; PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
VENV := .venv
SPEC := pyproject.toml envs/constraints.txt
FIRST := results/report/tables/demo-sio.html
DETECTOR := results/clothing/deploy/detector
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo photos test test-slurm test-storage bench drill lint clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo-installed
	snakemake --cores all --prioritize $(FIRST) -- all $(FIRST)
	snakemake --report results/report.html --report-stylesheet report/style.css
	@echo "Report: results/report/index.html  Tables: results/tables/  Provenance: results/report.html"

photos: $(VENV)/.photos-installed photos.yaml
	synthood run photos.yaml
	rm -f results/photos.csv
	synthood score $(DETECTOR) examples/photos/new --output results/photos.csv
	synthood evaluate $(DETECTOR) --id examples/photos/new/known --ood examples/photos/new/unknown
	@echo "Detector: $(DETECTOR)  Its card: $(DETECTOR)/README.md  Scored photographs: results/photos.csv"

# Written once, then yours to edit.
photos.yaml: | $(VENV)/.photos-installed
	synthood init examples/photos/clothing --held-out hat shoes --out $@

test: $(VENV)/.test-installed
	pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-slurm: $(VENV)/.test-installed
	pytest -m slurm -rsP tests/slurm

test-storage: $(VENV)/.storage-installed
	pytest tests/storage

drill: $(VENV)/.test-installed
	python tests/drill.py --kills $(or $(KILLS),100) --seed $(or $(SEED),0)

bench: $(VENV)/.bench-installed
	python benchmarks/bench.py $(if $(QUICK),--quick)

lint: $(VENV)/.test-installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules/*.smk
	mypy
	snakemake --lint

clean:
	rm -rf $(VENV) .snakemake .resume .drill

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: $(VENV)/bin/python $(SPEC)
	sh envs/install.sh .
	touch $@

$(VENV)/.photos-installed: $(VENV)/bin/python $(SPEC)
	sh envs/install.sh ".[lite]"
	touch $@ $(VENV)/.demo-installed

$(VENV)/.bench-installed: $(VENV)/bin/python $(SPEC)
	sh envs/install.sh ".[bench]"
	touch $@ $(VENV)/.demo-installed

$(VENV)/.test-installed: $(VENV)/bin/python $(SPEC)
	sh envs/install.sh ".[test]"
	touch $@ $(VENV)/.demo-installed $(VENV)/.photos-installed

$(VENV)/.storage-installed: $(VENV)/bin/python $(SPEC)
	sh envs/install.sh ".[storage-test]"
	touch $@ $(VENV)/.demo-installed $(VENV)/.test-installed
