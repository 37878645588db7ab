# make demo   the tables and results/report.html        make test   all tests
# Both make .venv if there is none; PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
VENV := .venv
SPEC := pyproject.toml envs/constraints.txt
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo test lint clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo-installed
	snakemake --cores all
	snakemake --report results/report.html --report-stylesheet report/style.css
	@echo "Tables: results/tables/  Report: results/report.html"

test: $(VENV)/.test-installed
	pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.test-installed
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules/*.smk
	mypy
	snakemake --lint

clean:
	rm -rf $(VENV) .snakemake .resume

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: $(VENV)/bin/python $(SPEC)
	sh envs/install.sh .
	touch $@

$(VENV)/.test-installed: $(VENV)/bin/python $(SPEC)
	sh envs/install.sh ".[test]"
	touch $@ $(VENV)/.demo-installed
