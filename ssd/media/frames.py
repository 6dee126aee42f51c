"""Opens whatever has frames: videos, cameras, addresses."""

from contextlib import AbstractContextManager

from ssd.media.sources import Video
from ssd.media.streams import Stream, open_stream
from ssd.media.video import VideoReader, open_video


def open_frames(video: Video) -> AbstractContextManager[VideoReader]:
    """The reader of a video's frames, for a `with` block. Raises InputError, naming it, where it cannot be opened."""
    return open_stream(video) if isinstance(video, Stream) else open_video(video)
