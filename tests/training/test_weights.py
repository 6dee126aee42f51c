import torch

from ssd import SSD300, SSDConfig
from ssd.training.weights import transfer


def test_transfer():
    torch.manual_seed(0)
    old = SSD300(SSDConfig.caffe(class_names=("boat", "cat", "dog")))
    torch.manual_seed(1)
    new, names = transfer(old.config, old.state_dict(), ("dog", "bird", "cat"))
    assert names == ["bird"]
    assert new.config == SSDConfig.caffe(class_names=("dog", "bird", "cat"))
    assert torch.equal(new.priors_cxcy, old.priors_cxcy)
    torch.manual_seed(1)
    fresh = SSD300(new.config).state_dict()
    expected_rows = {0: 0, 1: 3, 3: 2}  # new label -> old label; 2 is the bird
    for name, tensor in new.state_dict().items():
        before = old.state_dict()[name]
        if not name.startswith("pred_convs.cl_"):
            assert torch.equal(tensor, before), name
            continue
        for channel in range(len(tensor)):
            prior, label = divmod(channel, 4)
            row = expected_rows.get(label)
            assert torch.equal(tensor[channel], fresh[name][channel] if row is None else before[4 * prior + row])
