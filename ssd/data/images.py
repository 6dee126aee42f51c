"""From a picture's file to the network's input."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from ssd.config import SSDConfig
from ssd.errors import InputError
from ssd.files import check_content

ORIENTATION = 0x0112  # EXIF tag
UPRIGHT = {  # its values (1 is upright), and how to turn such a picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Picture = str | os.PathLike[str] | Image.Image | np.ndarray | torch.Tensor
SIZE_IN_HEADER = ("BMP", "JPEG", "MPO", "PNG", "WEBP")  # other formats may decode to another size


def picture_endings() -> set[str]:
    """The file endings (".jpg") of the pictures that Pillow reads. Its video and scientific formats are left out."""
    known = Image.registered_extensions().items()
    return {end for end, kind in known if kind in Image.OPEN and Image.MIME.get(kind, "").startswith("image/")}


def load_image(path: str | Path) -> Image.Image:
    """The picture as people see it: upright, RGB, the first frame of an animation.

    Raises InputError, naming the file, where it is missing, no picture, damaged, or has more than 178,956,970 pixels.
    That is Pillow's limit, since a tiny file may claim any size; `lift_pixel_limit` removes it.
    """
    return load_reduced(path)[0]


def load_reduced(
    path: str | Path, least_size: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[int, int], float]:
    """`load_image`, but a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is faster.

    least_size: (width, height) that must remain; without it, the picture keeps its size. So does one that has to be
    turned upright.
    Returns the image, the (width, height) of the whole picture, and the scale of the image, at most 1. The last row and
    column may lie partly beyond the picture: a width of 101 pixels becomes 51 at scale 1/2.
    """
    with open_image(path) as image:
        size = image.size
        drafted = image.draft(None, least_size) if least_size and exif_orientation(image) == 1 else None
        image = to_rgb(image)
        if not drafted:
            return image, image.size, 1.0
        _, (_, _, width, _) = drafted  # the picture's corners in the reduced image, in fractions of its pixels
        return image, size, width / size[0]


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of the upright picture, read from the file's header where that is reliable.

    Raises InputError as `load_image` does.
    """
    with open_image(path) as image:
        if image.format not in SIZE_IN_HEADER:
            return to_rgb(image).size
        width, height = image.size
        return (height, width) if exif_orientation(image) >= 5 else (width, height)


@contextmanager
def open_image(path: str | Path, content: IO[bytes] | None = None) -> Iterator[Image.Image]:
    """An opened picture, not yet decoded, for a `with` block. Any error in the block becomes an InputError.

    content: of the file, where `path` is the name of one elsewhere.
    """
    if content is None:
        check_content(path, "picture")
    try:
        with Image.open(content or path) as image:
            if image.format == "EPS":  # Pillow would have Ghostscript run it
                raise InputError(f"{path}: a PostScript program, which is not run; convert it to PNG")
            yield image
    except InputError:
        raise
    except Exception as error:  # Pillow's readers raise almost anything on a damaged file
        raise InputError(f"{path}: {_reason(error)}") from None


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, or an unsupported format"
    if isinstance(error, Image.DecompressionBombError):
        said = str(error).partition(" pixels, could")[0]
        return f"perhaps a decompression bomb ({said}); --no-pixel-limit reads it anyway"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read ({error.strerror})"
    lines = str(error).splitlines() or [type(error).__name__]
    return f"damaged picture ({lines[0]})"


def lift_pixel_limit() -> None:
    """Let Pillow read pictures of any size. The limit is global in Pillow, so only commands should lift it."""
    Image.MAX_IMAGE_PIXELS = None


def to_rgb(picture: Picture) -> Image.Image:
    """A picture as people see it: a PIL image, upright, RGB, white where it was transparent.

    picture: a path, see `load_image`; a PIL image, returned as it is if it is all that already; an RGB array (height,
    width, 3) of uint8; or an RGB tensor (3, height, width) of uint8, or of floats from 0 to 1, which become 256 levels.
    The 65,536 levels of 16-bit pictures become 256, too. PIL's 32-bit integers and floats, for which no file format
    says what is white, are stretched: the smallest finite number becomes black, the largest white, NaN black.
    Raises InputError as `load_image` does, ValueError on another array or tensor, TypeError on anything else.
    """
    if isinstance(picture, str | os.PathLike):
        return load_image(os.fspath(picture))
    if isinstance(picture, torch.Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, Image.Image):
        return _from_pil(picture)
    raise TypeError(
        f"{type(picture).__name__} is no picture, which is a path, a PIL image, an RGB array (height, width, 3), or a "
        "tensor (3, height, width); several pictures come as a list"
    )


def _from_pil(image):
    image.load()  # before reading the orientation: this turns a TIFF, and a PNG may store its orientation last
    if 0 in image.size:  # only now, since a file that Pillow cannot decode may have no size either
        raise ValueError(f"a picture of {image.width} x {image.height} pixels is empty")
    orientation = exif_orientation(image)
    if image.mode == "RGB" and orientation == 1 and not image.has_transparency_data:
        return image
    image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image  # Pillow converts La to nothing else
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.info = {}  # the orientation in it no longer holds
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _from_array(array):
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(
            f"an array {array.shape} of {array.dtype} is no RGB picture, which is (height, width, 3) of uint8"
        )
    return Image.fromarray(array)


def _from_tensor(tensor):
    levels = tensor.detach().cpu()
    if levels.is_floating_point():
        levels = (levels.float() * 255).round()
        if not ((levels >= 0) & (levels <= 255)).all():
            raise ValueError("a tensor of floats is a picture if all are from 0 to 1; these are not")
        levels = levels.byte()
    if levels.dtype != torch.uint8 or levels.ndim != 3 or levels.shape[0] != 3 or not levels.numel():
        raise ValueError(
            f"a tensor {tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')} is no RGB picture, which is "
            "(3, height, width) of uint8 or of floats from 0 to 1"
        )
    return Image.fromarray(levels.permute(1, 2, 0).numpy())


def exif_orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened picture, 1 (upright) to 8; 1 where it is missing or cannot be read."""
    try:
        value = image.getexif().get(ORIENTATION)
    except Exception:  # damaged EXIF data can raise anything; the pixels are fine
        return 1
    return value if value in UPRIGHT else 1


def _eight_bits(image: Image.Image) -> Image.Image:
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


def normalise(image: Image.Image, config: SSDConfig) -> torch.Tensor:
    """PIL RGB image -> float32 tensor (3, height, width): 0-1 RGB, less the mean, divided by the deviation."""
    levels = torch.from_numpy(np.array(image))  # (height, width, 3)
    return normalise_levels(levels.permute(2, 0, 1).contiguous(), config)


def normalise_levels(levels: torch.Tensor, config: SSDConfig) -> torch.Tensor:
    """`normalise` of pictures as tensors (..., 3, height, width) of uint8, on their device."""
    mean, std = (torch.tensor(values, device=levels.device).view(3, 1, 1) for values in (config.mean, config.std))
    return (levels / 255 - mean) / std


def denormalise(tensor: torch.Tensor, config: SSDConfig) -> Image.Image:
    """The inverse of `normalise`: tensor (3, height, width) of any type on any device -> PIL RGB image."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (config.mean, config.std))
    levels = (tensor.detach().float().cpu() * std + mean) * 255
    return Image.fromarray(levels.round().clamp(0, 255).byte().permute(1, 2, 0).numpy())


def preprocess(picture: Picture, config: SSDConfig) -> torch.Tensor:
    """What evaluation and detection give the network: the whole picture, as for `to_rgb`, as a (3, 300, 300) tensor."""
    return normalise(resized(to_rgb(picture), config.input_size), config)


def resized(image: Image.Image, side: int) -> Image.Image:
    """A PIL image as a square, by the filter that all models here were trained with."""
    return image.resize((side, side), Image.Resampling.BILINEAR)
