# Each target creates .venv, installs what it needs there, and runs.
PYTHON ?= python3
DEMO := demo
ITERATIONS := 180
PICTURE := shapes_000396
BIN := .venv/bin

.PHONY: demo test lint figures clean

demo: .venv/installed-demo
	rm -rf "$(DEMO)"
	$(BIN)/python -m ssd.data.synthetic "$(DEMO)/shapes"
	$(BIN)/python create_data_lists.py --voc "$(DEMO)/shapes" --output "$(DEMO)/data"
	$(BIN)/python train.py --data "$(DEMO)/data" --output "$(DEMO)/run" --iterations $(ITERATIONS) --batch-size 8 \
		--weights none --backbone vgg16_bn --lr 3e-3 --clip-norm 100 --augmentation flip --eval-every 90
	$(BIN)/python eval.py --data "$(DEMO)/data" --checkpoint "$(DEMO)/run/best.pth" --report "$(DEMO)/report"
	$(BIN)/python detect.py "$(DEMO)/data/TEST_images.json" --checkpoint "$(DEMO)/run/best.pth" \
		--min-score 0.45 --output "$(DEMO)/detections"
	@echo "Look at the pictures in $(DEMO)/detections, at $(DEMO)/run/results.png and at $(DEMO)/report/report.html"

test: .venv/installed-dev
	$(BIN)/python -m pytest

figures: .venv/installed-dev
	test -e "$(DEMO)/run/best.pth" || $(MAKE) demo
	$(BIN)/python -m docs.figures "$(DEMO)/shapes/JPEGImages/$(PICTURE).jpg" --data "$(DEMO)/data" \
		--checkpoint "$(DEMO)/run/best.pth"

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

.venv/installed-demo: EXTRAS := eval,plots
.venv/installed-dev: EXTRAS := dev
.venv/installed-%: setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@

clean:
	rm -rf .venv "$(DEMO)"
