"""A job of `detect`: sources, of which each process does a share, and the files that are written of what all found."""

from collections import Counter
from collections.abc import Collection, Sequence

from ssd.data.formats.records import Note
from ssd.distributed import gathered, n_processes, rank
from ssd.media.annotator import Annotator
from ssd.media.folder import OutputFolder
from ssd.media.journal import Records
from ssd.media.outputs import save_records, written_files
from ssd.media.sources import Sources


class Job:
    """What the processes of one `ssd300 detect` do together.

    folder: of its results. formats, class_names: as for `save_records`.
    """

    def __init__(self, folder: OutputFolder, sources: Sources, formats: Collection[str], class_names: Sequence[str]):
        self.folder, self.sources, self.formats, self.class_names = folder, sources, formats, class_names
        self.paths = [*sources.pictures, *sources.videos]

    def run(self, annotator: Annotator) -> Counter[str]:
        """Do this process's share of what is left. Returns the `counts` of the annotators of all processes.

        One process alone writes down what it has found when it is interrupted, too. Several have no time to wait for
        one another then: each leaves its journal.
        """
        share = self.folder.left[rank() :: n_processes()]
        n_pictures = len(self.sources.pictures)
        try:
            annotator.pictures([self.paths[number] for number in share if number < n_pictures])
            for number in share[share >= n_pictures]:
                annotator.video(self.paths[number])
            return sum(gathered(annotator.counts), Counter())
        except KeyboardInterrupt:
            if n_processes() == 1:
                self.save(is_end=False)
            raise

    def save(self, is_end: bool = True) -> list[Note]:
        """Write down what all processes have found. Returns notes on what a format cannot hold.

        is_end: all sources have been tried. If all could be read to their end too, the journals are removed.
        """
        records = Records(self.folder.journals(), self.paths)
        notes = save_records(self.folder.path, records, self.formats, self.class_names, self.sources.names)
        is_complete = bool(records.is_done.all())
        if is_end or is_complete:
            copies = {entry["annotated"] for entry in records} - {None}
            self.folder.finish([*copies, *written_files(self.formats, self.sources)], is_complete)
        return notes
