"""Odd and damaged files of pictures, made byte by byte where no library would write them."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def encoded(kind, image=PICTURE, **options):
    """The bytes of a file of some kind ("JPEG", ...)."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width, height, bits=8, colour=0, pixels=b"", before=b"", after=b""):
    """A PNG with any header; pixels: rows, each with its filter byte. before, after: chunks beside them."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(pixels))
    return PNG_SIGNATURE + header + before + data + after + png_chunk(b"IEND", b"")


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def exif(orientation):
    """EXIF data with this orientation alone, Intel byte order."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def turned(orientation):
    """PIXELS as a camera would store them: turned so that setting them upright by this EXIF orientation undoes it.

    Orientations as the EXIF standard words them: where the stored row 0 and column 0 are on the upright picture.
    """
    upright = PIXELS
    return {
        1: upright,  # row 0 top, column 0 left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: upright[:, ::-1].transpose(1, 0, 2),  # right, top
        7: upright[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: upright[::-1].transpose(1, 0, 2),  # left, bottom
    }[orientation]


def grey(levels):
    """(height, width) levels 0-255 as RGB."""
    return np.repeat(np.asarray(levels, dtype=np.uint8)[..., None], 3, axis=2)


def on_white(colours, alpha):
    """RGB (height, width, 3) of an opacity (height, width) 0-255 over white."""
    opacity = np.asarray(alpha)[..., None] / 255
    return colours * opacity + 255 * (1 - opacity)


def flipped(data, start, step):
    """The bytes with every `step`-th from `start` on inverted."""
    data = bytearray(data)
    data[start::step] = bytes(255 - byte for byte in data[start::step])
    return bytes(data)


JPEG, PNG, LZW = encoded("JPEG"), encoded("PNG"), encoded("TIFF", compression="tiff_lzw")
INDEXED = Image.fromarray(RNG.integers(0, 3, (20, 30), dtype=np.uint8), "P")
INDEXED.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
INDICES = np.asarray(INDEXED)
PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
LEVELS = PIXELS[..., 0]
ALPHA = PIXELS[..., 1]
LEVELS_16 = RNG.integers(0, 65536, (20, 30)).astype(np.uint16)
FROM_16 = np.rint(LEVELS_16 / 257)
BIG_ENDIAN_16 = Image.frombytes("I;16B", (30, 20), LEVELS_16.astype(">u2").tobytes())
FLOATS = np.linspace(-3, 1e6, 600, dtype=np.float32).reshape(20, 30)
FLOATS[0, :3] = np.nan, np.inf, -np.inf
FROM_FLOATS = np.nan_to_num((FLOATS.astype(np.float64) - FLOATS[0, 3]) / (1e6 - FLOATS[0, 3]) * 255, nan=0)
FROM_FLOATS = np.rint(FROM_FLOATS.clip(0, 255))
INTEGERS = np.arange(600, dtype=np.int32).reshape(20, 30) * 1_000_000 - 7
FRAMES = [PICTURE, Image.new("RGB", (30, 20), "red")]
LONG = np.tile(np.arange(0, 200, 10, dtype=np.uint8), 1000)  # 20,000 levels

# name of the file: (its bytes, the RGB pixels as people see them or a tolerance with them)
ODD = {
    "grey.png": (encoded("PNG", Image.fromarray(LEVELS)), grey(LEVELS)),
    "one bit.png": (encoded("PNG", Image.fromarray(LEVELS > 99)), grey(255 * (LEVELS > 99))),
    "one-bit.tif": (encoded("TIFF", Image.fromarray(LEVELS > 99)), grey(255 * (LEVELS > 99))),
    "grey with alpha.png": (
        encoded("PNG", Image.merge("LA", [Image.fromarray(LEVELS), Image.fromarray(ALPHA)])),
        (on_white(grey(LEVELS), ALPHA), 1),
    ),
    "grey with one transparent level.png": (
        encoded("PNG", Image.fromarray(LEVELS), transparency=int(LEVELS[0, 0])),
        grey(np.where(LEVELS[0, 0] == LEVELS, 255, LEVELS)),
    ),
    "alpha.png": (
        encoded("PNG", Image.fromarray(np.dstack([PIXELS, ALPHA]))),
        (on_white(PIXELS, ALPHA), 1),
    ),
    "alpha.webp": (
        encoded("WEBP", Image.fromarray(np.dstack([PIXELS, ALPHA])), lossless=True, exact=True),
        (on_white(PIXELS, ALPHA), 1),
    ),
    "one transparent colour.png": (
        encoded("PNG", transparency=tuple(PIXELS[0, 0].tolist())),
        np.where((PIXELS[0, 0] == PIXELS).all(axis=2, keepdims=True), 255, PIXELS),
    ),
    "palette.png": (encoded("PNG", INDEXED), PALETTE[INDICES]),
    "palette.bmp": (encoded("BMP", INDEXED), PALETTE[INDICES]),
    "palette with a transparent colour.gif": (
        encoded("GIF", INDEXED, transparency=1),
        np.where(INDICES[..., None] == 1, 255, PALETTE[INDICES]),
    ),
    "palette with alpha.png": (
        encoded("PNG", INDEXED, transparency=bytes([0, 128, 255])),
        (on_white(PALETTE[INDICES], np.array([0, 128, 255])[INDICES]), 1),
    ),
    "inks.tif": (
        encoded("TIFF", Image.fromarray(np.dstack([255 - PIXELS, 0 * LEVELS]), "CMYK")),
        PIXELS,
    ),
    "inks.jpg": (
        encoded("JPEG", Image.new("CMYK", (30, 20), (255, 0, 0, 0))),
        (np.full_like(PIXELS, (0, 255, 255)), 3),
    ),
    "16 bits.png": (encoded("PNG", Image.fromarray(LEVELS_16)), grey(FROM_16)),
    "16 bits.tif": (encoded("TIFF", Image.fromarray(LEVELS_16)), grey(FROM_16)),
    "16 bits, big end first.tif": (encoded("TIFF", BIG_ENDIAN_16), grey(FROM_16)),
    "16 bits.pgm": (b"P5 30 20 65535\n" + LEVELS_16.astype(">u2").tobytes(), grey(FROM_16)),
    "16 bits of three colours.png": (
        png(30, 20, 16, 2, b"".join(b"\0" + row.astype(">u2").tobytes() for row in PIXELS.astype(np.uint16) * 257)),
        PIXELS,
    ),
    "dark 16 bits.png": (
        encoded("PNG", Image.fromarray(LEVELS.astype(np.uint16))),
        grey(np.rint(LEVELS / 257)),
    ),
    "32 bits.tif": (
        encoded("TIFF", Image.fromarray(INTEGERS)),
        grey(np.rint(np.linspace(0, 255, 600)).reshape(20, 30)),
    ),
    "float.tif": (encoded("TIFF", Image.fromarray(FLOATS)), grey(FROM_FLOATS)),
    "float of NaN.tif": (encoded("TIFF", Image.fromarray(FLOATS * np.float32("nan"))), grey(0 * LEVELS)),
    "float of one level.tif": (encoded("TIFF", Image.fromarray(0 * FLOATS[1:] + 7)), grey(0 * LEVELS[1:])),
    "animated.gif": (
        encoded("GIF", INDEXED, save_all=True, append_images=[Image.new("L", (30, 20))]),
        PALETTE[INDICES],
    ),
    "animated.webp": (encoded("WEBP", save_all=True, append_images=FRAMES[1:], lossless=True), PIXELS),
    "animated.png": (encoded("PNG", save_all=True, append_images=FRAMES[1:]), PIXELS),
    "pages.tiff": (encoded("TIFF", save_all=True, append_images=FRAMES[1:]), PIXELS),
    "two views.jpg": (encoded("MPO", save_all=True, append_images=FRAMES[1:], quality=100, subsampling=0), (PIXELS, 6)),
    "pixel.png": (png(1, 1, 8, 2, b"\0\x01\x02\x03"), np.array([[[1, 2, 3]]])),
    "wide.png": (encoded("PNG", Image.fromarray(np.tile(LONG, (10, 1)))), grey(np.tile(LONG, (10, 1)))),
    "high.png": (encoded("PNG", Image.fromarray(np.tile(LONG[:, None], 10))), grey(np.tile(LONG[:, None], 10))),
    "longer than a JPEG can be.png": (encoded("PNG", Image.new("L", (70000, 2), 9)), grey(np.full((2, 70000), 9))),
    "progressive.jpg": (encoded("JPEG", quality=100, subsampling=0, progressive=True), (PIXELS, 6)),
    "followed by others.jpg": (encoded("JPEG", quality=100, subsampling=0) + b"no picture" * 99, (PIXELS, 6)),
    "PNG in truth.jpg": (PNG, PIXELS),
    "CAPITALS.PNG": (PNG, PIXELS),
    "a blank, ünïcödé, 犬.png": (PNG, PIXELS),
    "orientation after the pixels.png": (
        png(30, 20, 8, 2, b"".join(b"\0" + row.tobytes() for row in PIXELS), after=png_chunk(b"eXIf", exif(3))),
        PIXELS[::-1, ::-1],
    ),
    "orientation that there is not.png": (encoded("PNG", exif=exif(9)), PIXELS),
    "EXIF in pieces.png": (encoded("PNG", exif=b"II*\0\x08\0\0\0\xff\xff\x12\x01"), PIXELS),
    "EXIF that is none.png": (encoded("PNG", exif=b"\xff" * 40), PIXELS),
    "comment in pieces.gif": (encoded("GIF", INDEXED, comment=b"\xff\xfe" * 99), PALETTE[INDICES]),
    **{
        f"orientation {number}.{kind.lower()}": (
            encoded(kind, Image.fromarray(turned(number)), exif=exif(number)),
            PIXELS,
        )
        for number in range(2, 9)
        for kind in ("PNG", "TIFF")
    },
}  # fmt: skip

# name of the file: (its bytes, what is said about it)
DAMAGED = {
    "empty.jpg": (b"", "not a picture, the file is empty"),
    "text.jpg": (b"not a picture", "not a picture, or an unsupported format"),
    "page.jpg": (b"<!DOCTYPE html><html>404</html>", "not a picture, or an unsupported format"),
    "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not a picture, or an unsupported format"),
    "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "not a picture, or an unsupported format"),
    "document.jpg": (b"%PDF-1.7\n", "not a picture, or an unsupported format"),
    "archive.png": (b"PK\x03\x04" + bytes(99), "not a picture, or an unsupported format"),
    "film.jpg": (b"\0\0\0\x18ftypmp42" + bytes(99), "not a picture, or an unsupported format"),
    "zeros.jpg": (bytes(999), "not a picture, or an unsupported format"),
    "program.jpg": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\n",
        "a PostScript program, which is not run",
    ),
    "measurements.jpg": (b"\x89HDF\r\n\x1a\n" + bytes(99), "damaged picture (cannot find loader for this HDF5 file)"),
    "start.jpg": (JPEG[:30], "damaged picture"),
    "half.jpg": (JPEG[:-100], "damaged picture (image file is truncated"),
    "without its end.jpg": (JPEG[:-2], "damaged picture (image file is truncated"),
    "wrong tables.jpg": (flipped(JPEG, 30, 40), "damaged picture"),
    "signature.png": (PNG_SIGNATURE, "not a picture, or an unsupported format"),
    "half.png": (PNG[: len(PNG) // 2], "damaged picture (image file is truncated"),
    "wrong header.png": (PNG[:20] + b"\xff" + PNG[21:], "not a picture, or an unsupported format"),
    "wrong stream.png": (PNG.replace(PNG[45:60], bytes(15)), "damaged picture (broken data stream"),
    "without pixels.png": (PNG[:33] + png_chunk(b"IEND", b""), "damaged picture (cannot load this image)"),
    "no columns.png": (png(0, 9), "not a picture, or an unsupported format"),
    "half.gif": (encoded("GIF")[:-100], "damaged picture (image file is truncated"),
    "half.bmp": (encoded("BMP")[:500], "damaged picture (image file is truncated"),
    "half.webp": (encoded("WEBP")[:300], "damaged picture"),
    "half.tif": (encoded("TIFF")[:500], "damaged picture (image file is truncated"),
    "half.jp2": (encoded("JPEG2000")[:300], "damaged picture"),
    "wrong stream.tif": (LZW[:50] + b"\xff" * 500 + LZW[550:], "damaged picture"),
    "directory beyond the end.tif": (b"II*\0\xff\xff\xff\x7f", "not a picture, or an unsupported format"),
    "bomb.png": (png(200_000, 200_000), "perhaps a decompression bomb (Image size (40000000000 pixels) exceeds limit"),
    "bomb.gif": (
        b"GIF89a" + b"\xff" * 4 + bytes(3) + b"," + bytes(4) + b"\xff" * 4 + b"\0\x08\0;",
        "perhaps a decompression bomb (Image size (4294836225 pixels)",
    ),
    "bomb.bmp": (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 99999, 99999, 1, 24, 0, 0, 0, 0, 0, 0),
        "perhaps a decompression bomb (Image size (9999800001 pixels)",
    ),
    "bomb of text.png": (
        png(1, 1, pixels=b"\0\0", before=png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(9_000_000)))),
        "damaged picture (Decompressed",
    ),
    "bomb of a profile.png": (
        png(1, 1, pixels=b"\0\0", before=png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(9_000_000)))),
        "damaged picture (Decompressed",
    ),
}  # fmt: skip


def write_files(folder, files):
    """Write what ODD or DAMAGED holds into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return folder


def not_files(folder):
    """What is no file under names of pictures: name -> what is said about it."""
    os.symlink("loop.jpg", folder / "loop.jpg")
    os.symlink("nowhere", folder / "link.jpg")
    os.mkfifo(folder / "pipe.jpg")
    return {
        "loop.jpg": "a link that leads to no picture",
        "link.jpg": "a link that leads to no picture",
        "pipe.jpg": "a pipe or device, not a picture",
    }
