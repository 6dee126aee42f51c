"""The detector. To read in this order: network, vgg, priors, boxes, matching, loss, postprocess."""
