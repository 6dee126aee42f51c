"""From a picture's file to the network's input."""

import os
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from ssd.errors import InputError

ORIENTATION = 0x0112  # EXIF tag
UPRIGHT = {  # its values (1 is upright), and how such a picture is set right
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIZE_IN_HEADER = ("BMP", "JPEG", "MPO", "PNG", "WEBP")  # others may turn out otherwise when decoded


def load_image(path):
    """The picture as people see it: upright, RGB, the first frame of an animated one.

    Raises InputError, naming the file, where it is missing, no picture, damaged, or has more than 178,956,970 pixels,
    which a tiny file may claim to have: Pillow's limit, see `lift_pixel_limit`.
    """
    return load_reduced(path)[0]


def load_reduced(path, least_size=None):
    """`load_image`, but a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, at once and faster.

    least_size: (width, height) that must remain; without one, the whole size. A picture that has to be turned upright
    stays whole.
    Returns the image, the whole picture's (width, height), and the image's scale, 1 or less. The last row and column
    may lie partly beyond the picture: a width of 101 pixels becomes 51 at scale 1/2.
    """
    with open_image(path) as image:
        size = image.size
        drafted = image.draft(None, least_size) if least_size and exif_orientation(image) == 1 else None
        image = to_rgb(image)
        return (image, size, drafted[1][2] / size[0]) if drafted else (image, image.size, 1.0)


def image_size(path):
    """(width, height) of the upright picture, from the file's header alone where that will do.

    Raises InputError as `load_image` does.
    """
    with open_image(path) as image:
        if image.format not in SIZE_IN_HEADER:
            return to_rgb(image).size
        width, height = image.size
        return (height, width) if exif_orientation(image) >= 5 else (width, height)


@contextmanager
def open_image(path):
    """A picture, opened and not yet decoded, for a `with` block, in which any error becomes an InputError."""
    check_file(path)
    try:
        with Image.open(path) as image:
            if image.format == "EPS":  # Pillow would have Ghostscript run it
                raise InputError(f"{path}: a PostScript program, which is not run; convert it to PNG")
            yield image
    except InputError:
        raise
    except Exception as error:  # Pillow's readers raise almost anything on a damaged file
        raise InputError(f"{path}: {_reason(error)}") from None


def check_file(path, kind="picture"):
    """Raises InputError where there is nothing to read as a picture (or another kind): a pipe would be waited for."""
    if os.path.isfile(path):
        if not os.path.getsize(path):
            raise InputError(f"{path}: not a {kind}, the file is empty")
    elif os.path.isdir(path):
        raise InputError(f"{path}: a folder, not a {kind}")
    elif os.path.exists(path):
        raise InputError(f"{path}: a pipe or device, not a {kind}")
    elif os.path.islink(path):
        raise InputError(f"{path}: a link that leads to no {kind}")
    else:
        raise InputError(f"{path}: no such {kind}")


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, or of an unknown kind"
    if isinstance(error, Image.DecompressionBombError):
        said = str(error).partition(" pixels, could")[0]
        return f"perhaps a decompression bomb ({said}); --no-pixel-limit reads it all the same"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read ({error.strerror})"
    lines = str(error).splitlines() or [type(error).__name__]
    return f"damaged picture ({lines[0]})"


def lift_pixel_limit():
    """Have Pillow read pictures of any size in this process. For scripts, as the limit is a global of Pillow's."""
    Image.MAX_IMAGE_PIXELS = None


def to_rgb(image):
    """A PIL image as people see it: upright, RGB, transparent parts white. One that is so already is returned as it is.
    An array of 8-bit levels (height, width, 3) is taken for RGB.

    The 65,536 levels of 16-bit pictures become 256. Numbers of which no file format says what is white (32-bit
    integers and floats) are stretched: the smallest finite one becomes black, the largest white, NaN black.
    """
    if isinstance(image, np.ndarray):
        return Image.fromarray(pixels(image))
    image.load()  # before the orientation is read: a TIFF is turned by now, a PNG may tell it after its pixels
    orientation = exif_orientation(image)
    if image.mode == "RGB" and orientation == 1 and not image.has_transparency_data:
        return image
    image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.info = {}  # the orientation among it, which holds no longer
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def pixels(image):
    """The levels that `to_rgb` gives: array (height, width, 3) of uint8. Raises ValueError on another array."""
    if not isinstance(image, np.ndarray):
        return np.array(to_rgb(image))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"an array {image.shape} of {image.dtype} is no RGB picture, which is (height, width, 3) of uint8"
        )
    return image


def size_of(image):
    """(width, height) of a PIL RGB image or an array of `pixels`."""
    return pixels(image).shape[1::-1] if isinstance(image, np.ndarray) else image.size


def exif_orientation(image):
    """The EXIF orientation of an opened picture, 1 (upright) to 8; 1 where it is missing or cannot be read."""
    try:
        value = image.getexif().get(ORIENTATION)
    except Exception:  # like damaged pictures; these pixels are fine
        return 1
    return value if value in UPRIGHT else 1


def _eight_bits(image):
    """A grey picture of more than 8 bits as one of 8, any other as it is."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):  # by Pillow's version
        levels = (np.asarray(image).astype(np.int64) + 128) // 257  # 65535 is white
    elif image.mode in ("I", "F"):
        levels = _stretch(np.asarray(image).astype(np.float64))
    else:
        return image
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _stretch(values):
    """The finite values (any shape) linearly to 0-255; +infinity 255, -infinity and NaN 0."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    return ((values - low) * (255 / (high - low)) if high > low else values * 0).round()


def normalise(image, config):
    """PIL RGB image -> float32 tensor (3, height, width): 0-1 RGB less the mean, divided by the deviation."""
    levels = np.asarray(image)  # (height, width, 3)
    planes = np.empty((3, image.height, image.width), dtype=np.float32)
    for channel, table in enumerate(normalised_levels(config)):
        np.take(table, levels[..., channel], out=planes[channel], mode="clip")
    return torch.from_numpy(planes)


def normalised_levels(config):
    """What each of the 256 levels of red, green and blue becomes: float32 array (3, 256)."""
    levels = np.arange(256, dtype=np.float32)
    return (levels / 255 - np.float32(config.mean)[:, None]) / np.float32(config.std)[:, None]


def denormalise(tensor, config):
    """The inverse of `normalise`: tensor (3, height, width) of any type on any device -> PIL RGB image."""
    mean, std = np.float32(config.mean), np.float32(config.std)
    pixels = (tensor.detach().float().cpu().permute(1, 2, 0).numpy() * std + mean) * 255  # (height, width, 3)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def preprocess(image, config):
    """What evaluation and detection feed the network: the whole picture (PIL, any mode) as a (3, 300, 300) tensor."""
    return normalise(resized(to_rgb(image), config.input_size), config)


def resized(image, side):
    """A PIL image as a square, by the filter that every model here was trained with."""
    return image.resize((side, side), Image.Resampling.BILINEAR)
