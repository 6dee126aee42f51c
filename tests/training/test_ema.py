import torch

from ssd.training.ema import Average


def test_average_follows_the_weights():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average, decay = Average(model, 0.5), 0.5
    expected = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for k in range(20):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn_like(parameter)
            model(torch.randn(4, 3))  # new statistics
        average.update(model, k)
        share = min(decay, (1 + k) / (10 + k))
        for name, tensor in model.state_dict().items():
            old = expected[name]
            counts = name.endswith("num_batches_tracked")
            expected[name] = tensor.double() if counts else share * old + (1 - share) * tensor.double()
    assert not average.model.training
    for name, tensor in average.model.state_dict().items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)
