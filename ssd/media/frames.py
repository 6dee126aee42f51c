"""Opens whatever has frames, and the film that they are written to again."""

from contextlib import AbstractContextManager
from pathlib import Path

from ssd.media.animation import AnimationReader, GifWriter, StillWriter, WebPWriter, open_animation
from ssd.media.film import FilmWriter, VideoWriter
from ssd.media.sources import Video, film_ending
from ssd.media.streams import Stream, open_stream
from ssd.media.video import VideoReader, open_video

Reader = VideoReader | AnimationReader


def open_frames(video: Video) -> AbstractContextManager[Reader]:
    """The reader of a video's frames, for a `with` block. Raises InputError, naming it, where it cannot be opened."""
    if film_ending(video) != ".mp4":
        return open_animation(video)
    return open_stream(video) if isinstance(video, Stream) else open_video(video)


def open_film(path: Path, frames: Reader) -> FilmWriter:
    """What writes the annotated frames. path: its ending is the `film_ending` of the video."""
    if isinstance(frames, VideoReader):
        return VideoWriter(path, frames.rate)
    if path.suffix == ".jpg":
        return StillWriter(path)
    return (GifWriter if path.suffix == ".gif" else WebPWriter)(path, frames.loop)
