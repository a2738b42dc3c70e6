# Two commands do everything: `make demo` and `make test`. Each brings what is missing first, and repeats nothing that is done.
SHELL := /bin/bash
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: help setup data build program test crash demo bench study clean
help:
	@echo "make demo    train and explain a network on MNIST, with pages to look at (brings and builds what is missing)"
	@echo "make test    build, and run every test"
	@echo "make crash   kill the program at a hundred random moments each of training and explaining, and compare what comes out"
	@echo "make bench   build, and time the sweep against training"
	@echo "make study   how good the shares' stated uncertainty is, against fine quadrature"
	@echo "make build   the program build/pathkernel"
	@echo "make setup   packages, .venv, MNIST          make data   all data sets          make clean   remove the build"
	@echo "PATHKERNEL_DATA=DIR   data that is there already     BUILD=DIR   build elsewhere     JOBS=N   compilers at a time"

setup:
	@scripts/setup.sh build

data:
	@scripts/setup.sh data

$(BUILD)/build.ninja: CMakeLists.txt tests/CMakeLists.txt
	cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
	  -DPython3_EXECUTABLE=$(CURDIR)/.venv/bin/python

# Ninja decides what is old; cmake is only called the first time, or when its files change.
build: setup
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j$(JOBS)

test:
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory build
	@scripts/test.sh $(BUILD)

crash: build
	@PATHKERNEL_BUILD=$(abspath $(BUILD)) PATHKERNEL_KILLS=100 .venv/bin/python -m pytest -q -s -k killed tests/python/test_crashes.py

# The program alone: the tests take longer to build than the demo takes to run.
program: setup
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j$(JOBS) pathkernel_program

demo: program
	@PATHKERNEL=$(BUILD)/pathkernel scripts/demo.sh

bench: build
	@scripts/bench.sh $(BUILD)

# How good the certificate's E is, on real runs against fine quadrature; some minutes.
study: build
	@.venv/bin/python scripts/study_uncertainty.py $(BUILD)/pathkernel

clean:
	rm -rf $(BUILD)
