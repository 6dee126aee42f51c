"""What tests of exports share."""

import numpy as np
import onnxruntime
import torch

NMS = {"min_score": 0.15, "max_overlap": 0.3, "top_k": 50}


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def assert_same_detections(found, expected, side=1.0, atol=0.5):
    """Triples of boxes, labels and scores: the same but for the order of scores that differ by rounding alone."""
    assert len(found[0]) == len(expected[0])
    assert sorted(found[1]) == sorted(expected[1])
    near = np.abs(found[0][:, None] - expected[0][None]).max(axis=2) * side < atol  # (n, n)
    near &= found[1][:, None] == expected[1][None]
    near &= np.abs(found[2][:, None] - expected[2][None]) < 1e-4
    assert near.any(axis=0).all()
    assert near.any(axis=1).all()
