"""Writes a `.caffemodel` by hand: protocol buffers as their documentation describes them, no library."""


def varint(number):
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def record(field, content):
    """A field of bytes: a text, a message, or packed numbers."""
    return varint(field * 8 + 2) + varint(len(content)) + content


def blob(array, old):
    data = record(5, array.astype("<f4").tobytes())
    if not old:
        return record(7, record(1, b"".join(map(varint, array.shape)))) + data
    sizes = (1,) * (4 - array.ndim) + array.shape  # fields 1 to 4: num, channels, height, width
    return b"".join(varint(field * 8) + varint(size) for field, size in enumerate(sizes, start=1)) + data


def caffemodel(layers, old=False):
    """The bytes of a net. layers: name -> arrays, its blobs. old: as Caffe wrote them before 2015."""
    net_field, name_field, blobs_field = (2, 4, 6) if old else (100, 1, 7)
    content = record(1, b"a net")
    for name, arrays in {"input": [], **layers, "loss": []}.items():
        blobs = b"".join(record(blobs_field, blob(array, old)) for array in arrays)
        layer = record(3, b"top") + record(name_field, name.encode()) + blobs
        content += record(net_field, layer)
    return content
