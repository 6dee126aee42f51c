"""A window that shows pictures while a command works. Needs tkinter, a part of most Pythons, and a screen."""

import time

from PIL import Image

from ssd.errors import InputError

PART = 0.9  # of the screen, which a picture takes at most
PAUSE = 0.05  # seconds between two looks at the keyboard


class WindowClosed(KeyboardInterrupt):
    """The user has closed the window, which ends the work in as good order as Ctrl-C does."""


class Window:
    """A window for pictures, which appears with the first one. q, Escape and its cross close it.

    Only the thread that made it may use it, and macOS insists on the main thread.
    Raises InputError where there is no tkinter or no screen.
    """

    def __init__(self) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise InputError(f"--show needs tkinter ({error}); install your system's python3-tk") from None
        try:
            self.root = tkinter.Tk()
        except tkinter.TclError as error:
            raise InputError(f"--show: there is no screen ({error}); leave it out") from None
        self.make_photo = ImageTk.PhotoImage
        self.label = tkinter.Label(self.root, borderwidth=0)
        self.label.pack()
        self.photo: ImageTk.PhotoImage | None = None
        self.is_closed = False
        self.root.resizable(False, False)
        self.root.protocol("WM_DELETE_WINDOW", self._close)
        for key in ("<q>", "<Escape>"):
            self.root.bind(key, self._close)

    def _close(self, *event: object) -> None:
        self.is_closed = True

    def show(self, image: Image.Image, name: str) -> None:
        """Show a picture in place of the one before. Raises WindowClosed when the user has closed the window."""
        image = image.copy()
        image.thumbnail((int(PART * self.root.winfo_screenwidth()), int(PART * self.root.winfo_screenheight())))
        self.photo = self.make_photo(image, master=self.root)  # tkinter itself keeps no reference
        self.label.configure(image=self.photo)
        self.root.title(f"{name} (q or Escape closes)")
        self.root.update()
        if self.is_closed:
            raise WindowClosed

    def wait(self) -> None:
        """Keep the last picture until the user closes the window."""
        while not self.is_closed:
            self.root.update()
            time.sleep(PAUSE)

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, *exception: object) -> None:
        self.root.destroy()
        del self.photo, self.label, self.root  # in this thread: Tcl ends the process when another one cleans up
