"""From a picture's file to the network's input."""

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from ssd.errors import InputError

ORIENTATION = 0x0112  # EXIF tag; values from 5 lie on their side


def open_image(path):
    """Open a picture without decoding it. Raises InputError, naming the file, where there is none."""
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such picture") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a picture, or of an unknown kind") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error})") from None


def image_size(path):
    """(width, height) of the upright picture, from the file's header alone where that will do."""
    with open_image(path) as image:
        if image.format == "TIFF":  # whether Pillow has turned this size already depends on its version
            return load_image(path).size
        width, height = image.size
        return (height, width) if image.getexif().get(ORIENTATION, 1) >= 5 else (width, height)


def load_image(path):
    """The picture as people see it: upright, RGB. Raises InputError, naming the file, if it is missing or damaged."""
    return load_reduced(path)[0]


def load_reduced(path, least_size=None):
    """`load_image`, but a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, at once and faster.

    least_size: (width, height) that must remain; without one, the whole size. A picture that has to be turned upright
    stays whole.
    Returns the image and its scale, 1 or less. The last row and column may lie partly beyond the picture: a width of
    101 pixels becomes 51 at scale 1/2.
    """
    with open_image(path) as image:
        try:
            width, upright = image.width, image.getexif().get(ORIENTATION, 1) == 1
            drafted = image.draft(None, least_size) if least_size and upright else None
            scale = drafted[1][2] / width if drafted else 1.0
            return to_rgb(image), scale
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on truncated and damaged files
            raise InputError(f"{path}: damaged picture ({error})") from None


def to_rgb(image):
    """An upright RGB copy of a PIL image; transparent parts become white."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def normalise(image, config):
    """PIL RGB image -> float32 tensor (3, height, width): 0-1 RGB less the mean, divided by the deviation."""
    levels, pixels = np.arange(256, dtype=np.float32), np.asarray(image)  # (height, width, 3)
    planes = np.empty((3, image.height, image.width), dtype=np.float32)
    for channel, (mean, std) in enumerate(zip(np.float32(config.mean), np.float32(config.std), strict=True)):
        np.take((levels / 255 - mean) / std, pixels[..., channel], out=planes[channel], mode="clip")
    return torch.from_numpy(planes)


def denormalise(tensor, config):
    """The inverse of `normalise`: tensor (3, height, width) of any type on any device -> PIL RGB image."""
    mean, std = np.float32(config.mean), np.float32(config.std)
    pixels = (tensor.detach().float().cpu().permute(1, 2, 0).numpy() * std + mean) * 255  # (height, width, 3)
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def preprocess(image, config):
    """What evaluation and detection feed the network: the whole picture (PIL, any mode) as a (3, 300, 300) tensor."""
    side = config.input_size
    return normalise(to_rgb(image).resize((side, side), Image.Resampling.BILINEAR), config)
