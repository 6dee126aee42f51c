from math import sqrt

import pytest
import torch

from ssd import SSDConfig, create_prior_boxes


@pytest.fixture(scope="module")
def priors():
    return create_prior_boxes(SSDConfig())


def map_rows(priors):
    counts = [4 * 38**2, 6 * 19**2, 6 * 10**2, 6 * 5**2, 4 * 3**2, 4 * 1**2]
    assert sum(counts) == 8732
    return priors.split(counts)


def test_table_has_8732_float32_rows(priors):
    assert priors.shape == (8732, 4)
    assert priors.dtype == torch.float32


@pytest.mark.parametrize("k, cells, scale, following", [
    (0, 38, 0.1, 0.2), (1, 19, 0.2, 0.375), (2, 10, 0.375, 0.55), (3, 5, 0.55, 0.725), (4, 3, 0.725, 0.9),
])  # fmt: skip
def test_order_inside_every_cell(priors, k, cells, scale, following):
    extra = sqrt(scale * following)
    sizes = [(scale, scale), (extra, extra), (scale * sqrt(2), scale / sqrt(2))]
    sizes += [(scale * sqrt(3), scale / sqrt(3))] if k in (1, 2, 3) else []
    sizes += [(scale / sqrt(2), scale * sqrt(2))]
    sizes += [(scale / sqrt(3), scale * sqrt(3))] if k in (1, 2, 3) else []
    rows = map_rows(priors)[k].view(cells, cells, len(sizes), 4)
    expected = torch.tensor(sizes).clamp(max=1)
    for y in range(cells):
        for x in range(cells):
            centre = torch.tensor([(x + 0.5) / cells, (y + 0.5) / cells])
            torch.testing.assert_close(rows[y, x, :, :2], centre.expand(len(sizes), 2), rtol=0, atol=6e-8)
            torch.testing.assert_close(rows[y, x, :, 2:], expected, rtol=0, atol=6e-8)


def test_last_map_ends_with_the_whole_image(priors):
    expected = [[0.5, 0.5, 0.9, 0.9], [0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 1.0, 0.636396], [0.5, 0.5, 0.636396, 1.0]]
    torch.testing.assert_close(map_rows(priors)[5], torch.tensor(expected), rtol=0, atol=1e-6)
    assert priors[-3].tolist() == [0.5, 0.5, 1.0, 1.0]


def test_first_rows(priors):
    expected = [
        [0.01315789, 0.01315789, 0.1, 0.1],
        [0.01315789, 0.01315789, 0.14142136, 0.14142136],
        [0.01315789, 0.01315789, 0.14142136, 0.07071068],
        [0.01315789, 0.01315789, 0.07071068, 0.14142136],
        [0.03947368, 0.01315789, 0.1, 0.1],
    ]
    torch.testing.assert_close(priors[:5], torch.tensor(expected), rtol=0, atol=1e-7)


def test_default_is_clamped_everywhere(priors):
    assert priors.min() >= 0
    assert priors.max() == 1


def test_caffe_release():
    priors = create_prior_boxes(SSDConfig.caffe())
    # conv4_3: 30 pixels and sqrt(30 * 60) = 42.426, centres every 8 pixels from 4
    expected = [[4, 4, 30, 30], [4, 4, 42.4264, 42.4264], [4, 4, 42.4264, 21.2132], [4, 4, 21.2132, 42.4264]]
    torch.testing.assert_close(priors[:4] * 300, torch.tensor(expected), rtol=0, atol=1e-3)
    assert (priors[:, 2] > 1).any()  # nothing is clipped
    torch.testing.assert_close(priors[-3] * 300, torch.tensor([150, 150, sqrt(264 * 315), sqrt(264 * 315)]))
    # conv7's cells: 1, extra, 2, 1/2, 3, 1/3
    widths = priors[4 * 38**2 : 4 * 38**2 + 6, 2] * 300
    torch.testing.assert_close(
        widths, torch.tensor([60, sqrt(60 * 111), 60 * sqrt(2), 60 / sqrt(2), 60 * sqrt(3), 60 / sqrt(3)])
    )


def test_caffe_release_at_512_pixels():
    """The published numbers of SSD512 (see the paper's section 3.1 for its scales)."""
    priors = create_prior_boxes(SSDConfig.caffe512())
    assert len(priors) == 24564
    starts = [0, 16384, 22528, 24064, 24448, 24544, 24560]  # 4, 6, 6, 6, 6, 4 and 4 priors a cell
    cells, sides, larger = (
        (64, 32, 16, 8, 4, 2, 1),
        (35, 76, 153, 230, 307, 384, 460),
        (76, 153, 230, 307, 384, 460, 537),
    )
    for start, n, side, following in zip(starts, cells, sides, larger, strict=True):
        centre, extra = 512 / n / 2, sqrt(side * following)
        expected = [[side, side], [extra, extra], [side * sqrt(2), side / sqrt(2)], [side / sqrt(2), side * sqrt(2)]]
        if n in (32, 16, 8, 4):
            expected += [[side * sqrt(3), side / sqrt(3)], [side / sqrt(3), side * sqrt(3)]]
        expected = torch.tensor([[centre, centre, *size] for size in expected])
        torch.testing.assert_close(priors[start : start + len(expected)] * 512, expected, rtol=1e-6, atol=0)


def test_default_of_512_pixels():
    priors = create_prior_boxes(SSDConfig.of_size(512))
    assert priors.shape == (24564, 4)
    widths = [0.07, sqrt(0.07 * 0.15), 0.07 * sqrt(2), 0.07 / sqrt(2)]
    torch.testing.assert_close(priors[:4, 2], torch.tensor(widths))
    expected = [[0.5, 0.5, 0.9, 0.9], [0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 1.0, 0.636396], [0.5, 0.5, 0.636396, 1.0]]
    torch.testing.assert_close(priors[-4:], torch.tensor(expected), rtol=0, atol=1e-6)


def test_unclipped_tables_keep_their_sizes():
    everything, sizes, nothing = (create_prior_boxes(SSDConfig(clip=clip)) for clip in ("all", "size", "none"))
    assert torch.equal(everything, nothing.clamp(0, 1))
    assert torch.equal(sizes[:, 2:], nothing[:, 2:].clamp(0, 1))
    assert torch.equal(sizes[:, :2], nothing[:, :2])
    assert nothing.max() > 1
