from ssd.data import PascalVOCDataset, collate


def test_collate(data_folder):
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    images, boxes, labels, difficulties = collate([dataset[k] for k in range(3)])
    assert images.shape == (3, 3, 300, 300)
    assert [len(b) for b in boxes] == [len(lb) for lb in labels] == [len(d) for d in difficulties]
