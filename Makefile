# The two commands of the README. Each makes .venv, installs into it, and runs.
PYTHON ?= python3
DEMO ?= demo
ITERATIONS ?= 260

BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test lint clean

demo: $(INSTALLED)
	rm -rf $(DEMO)
	$(BIN)/python -m ssd.data.synthetic $(DEMO)/shapes
	$(BIN)/python create_data_lists.py --voc $(DEMO)/shapes --output $(DEMO)/data
	$(BIN)/python train.py --data $(DEMO)/data --output $(DEMO)/run --weights none --backbone vgg16_bn \
		--batch-size 8 --lr 3e-3 --clip-norm 10 --no-expand --iterations $(ITERATIONS)
	$(BIN)/python eval.py --data $(DEMO)/data --checkpoint $(DEMO)/run/best.pth
	$(BIN)/python detect.py $(DEMO)/data/TEST_images.json --checkpoint $(DEMO)/run/best.pth --output $(DEMO)/detections
	@echo "Look at the pictures in $(DEMO)/detections"

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(INSTALLED): setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv $(DEMO)
