"""The detector. Read `ssd/config.py` first, then priors, boxes, vgg, network, matching, loss, postprocess."""
