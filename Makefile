# Two commands do everything: `make demo` and `make test`. Each brings what is missing first, and repeats nothing that is done.
SHELL := /bin/bash
BUILD ?= build
JOBS ?= $(shell nproc)

.PHONY: help setup data build program test crash demo bench bench-python study study-audit study-deep-shallow study-looking study-dynamics study-lazy study-taylor study-descent study-correction docs fuzz sanitize clean
help:
	@echo "make demo    train and explain a network on MNIST, with pages to look at (brings and builds what is missing)"
	@echo "make test    build, and run every test"
	@echo "make crash   kill the program at a hundred random moments each of training and explaining, and compare what comes out"
	@echo "make bench   build, and time the sweep and TracIn against training"
	@echo "make bench-python   the same for a language model of ten million parameters, from Python; tangent kernels against torch.func"
	@echo "make study   how good the shares' stated uncertainty is, against fine quadrature; what contributions say of removals; machines on few examples"
	@echo "make study-audit   which ranking finds planted label errors best, on MNIST and Fashion-MNIST (an hour; LIMIT=20000 takes a third)"
	@echo "make study-deep-shallow   does depth help in kernel regimes? Bietti and Bach's experiment (an hour or more; goes on where it stopped; SIZES=1000 SPLITS=3: minutes)"
	@echo "make study-looking   looking at kernels: a net fitted to sin, what layers do, two seeds of one net, controls"
	@echo "make study-dynamics   lazy against active training, Taylorised networks, double descent, backward feature correction: tables and figures in runs/studies"
	@echo "                      (or one of them: make study-lazy, study-taylor, study-descent, study-correction)"
	@echo "make build   the program build/pathkernel; then cmake --install build --prefix DIR"
	@echo "make docs    pages of the C++ API in build/docs"
	@echo "make fuzz    the readers of files under a fuzzer, FUZZ_SECONDS (60) each; READERS=\"npy csv\" for some of them"
	@echo "make sanitize   the C++ tests under the address and undefined-behaviour sanitizers, in a build of their own; FILTER='Csv*' for some"
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

# A Transformer of ten million parameters, from Python; minutes.
bench-python: build
	@.venv/bin/python bench/transformer_bench.py $(BUILD)
	@.venv/bin/python bench/python_share.py $(BUILD)
	@.venv/bin/python bench/tangent_bench.py $(BUILD)

# How good the certificate's E is, on real runs against fine quadrature; how far contributions foretell removals; tangent kernels beside networks on few examples; networks beside the machines they can be distilled into. Some minutes each.
study: build
	@.venv/bin/python scripts/study_uncertainty.py $(BUILD)/pathkernel
	@.venv/bin/python scripts/study_removal.py $(BUILD)/pathkernel
	@.venv/bin/python scripts/pictures_machines.py $(BUILD)
	@.venv/bin/python scripts/study_distil.py $(BUILD)
	@.venv/bin/python scripts/study_finetune.py $(BUILD)

# The API's pages, from the headers. A comment that doxygen cannot make out, or a reference to what is not there, is an error.
docs:
	@scripts/setup.sh docs
	@mkdir -p $(BUILD)/docs
	@DOCS_OUTPUT=$(BUILD)/docs doxygen docs/api/Doxyfile
	@sed -i 's/\[ "pathkernel::/[ "/' $(BUILD)/docs/*.js  # the tree at the side: names as the pages show them
	@echo "$(BUILD)/docs/index.html"

# Label errors planted in 1 % of the examples, and who finds them.
study-audit: build data
	@.venv/bin/python scripts/study_audit.py $(BUILD)/pathkernel

# Kernel ridge regression on MNIST and Fashion-MNIST by depth; every fit is kept in runs/deep_shallow.csv.
study-deep-shallow: build data
	@.venv/bin/python scripts/study_deep_shallow.py $(BUILD)

study-looking: build
	@.venv/bin/python scripts/study_looking.py $(BUILD)

# How networks move while they learn (docs/dynamics.md); each some minutes. Tables and figures go to runs/studies.
study-dynamics: study-lazy study-taylor study-descent study-correction

study-lazy study-taylor study-descent study-correction: build data
	@.venv/bin/python scripts/$(subst -,_,$@).py $(BUILD)

# Wants clang, and is no part of make test, which reads the corpus without it.
fuzz:
	@scripts/setup.sh fuzz
	@JOBS=$(JOBS) scripts/fuzz.sh $(BUILD) $(READERS)

# No part of make test: it compiles everything once more, in $(BUILD)-sanitize.
sanitize: setup
	@JOBS=$(JOBS) scripts/sanitize.sh $(BUILD)-sanitize $(if $(FILTER),'$(FILTER)')

clean:
	rm -rf $(BUILD) $(BUILD)-sanitize
