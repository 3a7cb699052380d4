# The work is done by .ci/environment, which makes .venv first where it is missing or out of date.

SHELL := /bin/bash
# `make -C folder`: a relative DATA or REPORT is meant from where the caller stands. Make tells so by its option w only.
CALLER := $(if $(findstring w,$(firstword -$(MAKEFLAGS))),$(PWD),$(CURDIR))
MAKEFLAGS += --no-print-directory
# As written: a dollar sign in a folder's name is no variable.
override DATA := $(value DATA)
override REPORT := $(value REPORT)
export CALLER DATA REPORT PYTHON HISTORIES SEED

.PHONY: help demo test test-slow test-page proof lint bench bench-transfer bench-packaging bench-lifecycle bench-api bench-client sandbox environment clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1\t\2/p' Makefile | expand -t 24

demo:  ## watch an observation travel: make demo [DATA=folder] [REPORT=file.json]
	@./.ci/environment demo

test:  ## run every test, on real servers (under 10 minutes)
	@./.ci/environment test

test-slow:  ## run what takes longer: make demo as a user types it, long links, bandwidth over a time (a quarter of an hour)
	@./.ci/environment test-slow

test-page:  ## the page alone, in a browser (Chromium, or `playwright install chromium`)
	@./.ci/environment test -m "slow or not slow" tests/page

proof:  ## 10,000 random histories against the deletion gate, and what they notice (half an hour); make proof [HISTORIES=n] [SEED=n]
	@./.ci/environment proof

lint:  ## run ruff, mypy and import-linter
	@./.ci/environment lint

bench: bench-transfer bench-packaging  ## measure both; make bench [REPORT=file.json] (root and /dev/net/tun for the link)

bench-transfer:  ## the engine against iperf3, SFTPHook, sftp, rsync, rclone on a long link
	@./.ci/environment bench transfer

bench-packaging:  ## packaging against GNU tar, tarfile and the disk
	@./.ci/environment bench packaging

bench-lifecycle:  ## deletion of 100,000 raw files and 2,000 packages at three sites: gate and bookkeeping
	@./.ci/environment bench lifecycle

bench-api:  ## the API: 10,000 files in one observation, a hundred instruments at once, reads with many rows
	@./.ci/environment bench api

bench-client:  ## what a call of the instrument's client takes, with the server up, slow, hanging or gone
	@./.ci/environment bench client

sandbox:  ## start the whole observatory and keep it until Ctrl-C
	@./.ci/environment sandbox

environment:  ## make .venv and nothing else
	@./.ci/environment environment

clean:  ## stop the sandbox; remove it, .venv and every cache
	@./.ci/environment clean
