"""The rows that the page shows are the channels of the real network; heat maps are maxima of its scores."""

import torch

from ssd.explain.sections.predictions import channels, heat_maps, likely_labels


def test_rows_of_a_cell_are_its_channels(subject):
    data, network = channels(subject).data, subject.model.pred_convs
    made = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda module, _, output: made.update({module: output[0]}))
        for name in ("loc_conv8_2", "cl_conv8_2")
    ]
    with torch.no_grad():
        subject.model(subject.input[None])
    for hook in hooks:
        hook.remove()
    for y, x in ((0, 0), (3, 7), divmod(data["chosen"], 10)):
        start = (10 * y + x) * 6
        for values, output in zip((data["locs"], data["scores"]), made.values(), strict=True):
            rows = torch.tensor(values[start : start + 6]).flatten()
            torch.testing.assert_close(rows, output[:, y, x], atol=0.0051, rtol=0)
    assert data["first"] == 5776 + 2166
    assert data["names"][0] == "background"


def test_the_first_cell_shown_has_the_best_score_of_its_map(subject):
    data = channels(subject).data
    best = torch.tensor(data["scores"]).softmax(dim=1)[:, 1:].amax(dim=1).view(100, 6).amax(dim=1)
    assert best[data["chosen"]] >= best.max() - 0.01


def test_heat_is_the_best_score_of_a_cell(subject):
    probabilities = subject.scores.softmax(dim=1)
    label = likely_labels(subject)[0]
    found = heat_maps(subject, label)
    assert [each.shape for each in found] == [(n, n) for n in (38, 19, 10, 5, 3, 1)]
    start = 5776 + (4 * 19 + 17) * 6  # row 4, column 17 of conv7
    torch.testing.assert_close(found[1][4, 17], probabilities[start : start + 6, label].max())
    assert max(each.max() for each in found) == probabilities[:, 1:].max()
