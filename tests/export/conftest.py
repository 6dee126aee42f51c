"""A model, its exports, and pictures for the tests of exports."""

import contextlib
import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ssd import SSD300, SSDConfig, save_checkpoint
from ssd.commands.export import main as export_main
from ssd.data import preprocess, read_data_list
from ssd.inference.predictor import NetworkPredictor
from ssd.model.network import MAP_CHANNELS
from ssd.model.postprocess import decode_predictions
from tests.helpers.exports import NMS
from tests.helpers.networks import randomise_batch_norm


@pytest.fixture(scope="package")
def model(data_folder, pictures):
    """Untrained, with a config that is not the default, moderate offsets, and scores that differ."""
    torch.manual_seed(0)
    classes = read_data_list(data_folder, "train").class_names
    model = SSD300(SSDConfig.torchvision(class_names=classes, backbone="vgg16_bn", variances=(0.2, 0.3)))
    randomise_batch_norm(model.eval())
    with torch.no_grad():
        conv4_3, conv7 = model.base(torch.stack([preprocess(picture, model.config) for picture in pictures]))
        maps = model.l2_normalise(conv4_3), conv7, *model.aux_convs(conv7)
        for name, x in zip(MAP_CHANNELS, maps, strict=False):
            for kind, spread in (("loc", 0.5), ("cl", 2)):
                convolution = model.pred_convs.get_submodule(f"{kind}_{name}")
                convolution.weight *= spread / convolution(x).std()
    return model


@pytest.fixture(scope="package")
def files(model, tmp_path_factory):
    """The checkpoint and its exports, written by the command."""
    folder = tmp_path_factory.mktemp("exports")
    save_checkpoint(folder / "model.pth", model)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in NMS.items()]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for name, *more in (("model.onnx",), ("model.pt2",), ("nms.onnx", "--with-nms", *options)):
            assert export_main([str(folder / "model.pth"), str(folder / "new" / name), *more]) == 0
            (folder / "new" / name).rename(folder / name)
    (folder / "said.txt").write_text(said.getvalue())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def pictures():
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (n, n + 2, 3), dtype=np.uint8) for n in (5, 9, 20)]
    return [Image.fromarray(s).resize(size) for s, size in zip(small, [(640, 480), (120, 300), (50, 50)], strict=True)]


@pytest.fixture(scope="package")
def images(model, pictures):
    return torch.stack([preprocess(picture, model.config) for picture in pictures])


@pytest.fixture(scope="package")
def expected(model, images):
    """Boxes and probabilities."""
    return decode_predictions(*NetworkPredictor(model)(images), model.priors_cxcy, model.config.variances)
