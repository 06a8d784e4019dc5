# Needs make and Python 3.11, 3.12 or 3.13 (TensorFlow has no wheel for 3.14); all else is set up in .venv.
#   make train       train the baseline recipe, end with a report
#   make test        lint, type-check, test
#   make docs        build the site from docs/ and the docstrings into site/html
#   make picture     make the README's picture again
#   make browser     put the page that classifies without a server into runs/browser (needs npm)
#   make pretrained  train the models that ship again, score them on the test photos, write the card
#   make benchmark-NAME  measure again: write results/NAME.json and RESULTS.md; NAME as in python -m benchmarks --help,
#                    with OPTIONS="…" for its options
#   make lock        pin the newest versions that go together (needs uv)
#   make release     build wheel and sdist in dist/, check them, install each extra in a fresh environment and use it

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c "$(SUPPORTED)" >/dev/null 2>&1 && echo $$python && break; done)
BIN := .venv/bin
# Modules are compiled when first used. Where that is not kept, every process compiles TensorFlow anew, which takes four
# times as long as loading it.
unexport PYTHONDONTWRITEBYTECODE

# The project's own machines keep the data beside the checkout; elsewhere it is found or downloaded.
ifneq ($(wildcard ../shared/data/fashion-mnist),)
export WARDROBE_DATA ?= $(abspath ../shared/data/fashion-mnist)
endif
ifneq ($(wildcard ../shared/data/clothing-photos),)
export WARDROBE_PHOTOS ?= $(abspath ../shared/data/clothing-photos)
endif

# Three workers share two cores, because tests wait for browsers and other processes a quarter of the time; with more
# threads each they would be in each other's way.
ONE_THREAD := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: train test lint types style collect docs lock release picture browser pretrained clean

train: .venv/train
	$(BIN)/wardrobe train baseline

test: .venv/dev
	$(MAKE) --jobs 2 --keep-going types collect style
	$(ONE_THREAD) $(BIN)/python -m pytest -n 3 --dist worksteal

# Two at once, as mypy takes longer than all others together.
lint: .venv/dev
	$(MAKE) --jobs 2 --keep-going types style

# Compiles the tests and what they import, TensorFlow above all. Otherwise each worker does it at the same time.
collect:
	-@$(BIN)/python -m pytest --collect-only >/dev/null 2>&1

types style collect: .venv/dev
types:
	$(BIN)/mypy
style:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-cache
	$(BIN)/python docs/build.py

docs: .venv/dev
	$(BIN)/python docs/build.py

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" --quiet --upgrade
lock:
	for extra in serve "train --extra serve" "scale --extra jax requirements/scale.in" dev; do \
		$(LOCK) pyproject.toml requirements/build.in --constraint requirements/constraints.in --extra $$extra \
		--output-file requirements/$${extra%% *}.txt || exit; done
	$(LOCK) requirements/uv.in --output-file requirements/uv.txt

release: .venv/bin/python
	$(BIN)/python .ci/release.py

picture: .venv/train
	rm -rf runs/picture
	$(BIN)/wardrobe train baseline --data synthetic --limit 20000 --epochs 2 --out runs/picture
	cp runs/picture/plots/predictions.png docs/predictions.png

BROWSER := runs/browser
NODE_MODULES := examples/browser/node_modules/.package-lock.json
browser: $(NODE_MODULES)
	mkdir -p $(BROWSER)/ort
	cp examples/browser/index.html examples/browser/page.css examples/browser/*.js $(BROWSER)
	cp src/wardrobe/serving/web/answer.js src/wardrobe/serving/web/drawing.js src/wardrobe/serving/web/studio.css src/wardrobe/serving/web/icon.svg $(BROWSER)
	cp examples/browser/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs \
		examples/browser/node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm $(BROWSER)/ort
	cp src/wardrobe/pretrained/photo-int8.onnx $(BROWSER)/model.onnx
	@echo "Written: $(BROWSER); see it with: python3 -m http.server --directory $(BROWSER)"

# Installed once for each version of its lock: the registry is asked no more than that.
$(NODE_MODULES): examples/browser/package-lock.json
	npm ci --prefix examples/browser --prefer-offline --silent --no-audit --no-fund

SHIPPED := src/wardrobe/pretrained
pretrained: .venv/train
	$(BIN)/python -m wardrobe.training.finder --out runs/pretrained-finder
	cp runs/pretrained-finder/finder-int8.onnx $(SHIPPED)
	$(BIN)/wardrobe train photo --data fashion-mnist --out runs/pretrained
	cp runs/pretrained/model.onnx $(SHIPPED)/photo.onnx
	$(BIN)/wardrobe export photo --int8 --out $(SHIPPED)
	$(BIN)/wardrobe train baseline --data fashion-mnist --out runs/pretrained-baseline
	cp runs/pretrained-baseline/model.onnx $(SHIPPED)/baseline.onnx
	$(BIN)/python -m benchmarks photos --seeds 0

benchmark-%: .venv/train
	$(BIN)/python -m benchmarks $* $(OPTIONS)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache src/*.egg-info

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 was found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The lock holds the build back end too, so that nothing unpinned is fetched.
.venv/train .venv/dev: .venv/%: requirements/%.txt pyproject.toml | .venv/bin/python
	$(BIN)/python .ci/install.py $<
	@touch $@
