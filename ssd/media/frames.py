"""Opens pictures and whatever has frames, wherever they are, and the films that are written."""

from contextlib import AbstractContextManager
from pathlib import Path

from PIL import Image

from ssd.data.images import load_image, open_image, to_rgb
from ssd.media.animation import AnimationReader, GifWriter, WebPWriter, open_animation
from ssd.media.film import FilmWriter, VideoWriter
from ssd.media.sources import Source, film_ending
from ssd.media.streams import Stream, fetch, open_stream
from ssd.media.video import VideoReader, open_video

Reader = VideoReader | AnimationReader


def load_picture(source: Source) -> Image.Image:
    """The picture in a file, as `load_image`, or at an address. Raises InputError as that and `fetch` do."""
    if not isinstance(source, Stream):
        return load_image(source)
    with open_image(str(source), fetch(source)) as image:
        return to_rgb(image)


def open_frames(video: Source) -> AbstractContextManager[Reader]:
    """The reader of a video's frames, for a `with` block. Raises InputError, naming it, where it cannot be opened."""
    if film_ending(video) != ".mp4":
        return open_animation(video)
    return open_stream(video) if isinstance(video, Stream) else open_video(video)


def open_film(path: Path, frames: Reader) -> FilmWriter:
    """What writes the annotated frames. path: its ending is the `film_ending` of the video."""
    if isinstance(frames, VideoReader):
        return VideoWriter(path, frames.rate)
    return (GifWriter if path.suffix == ".gif" else WebPWriter)(path, frames.loop)
