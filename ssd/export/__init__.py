"""Models for other runtimes: `write` makes the files, `engines` runs them."""
