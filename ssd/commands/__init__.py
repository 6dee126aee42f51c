"""The commands of `ssd300`: arguments, calls and messages. One module for each command, of its name."""
