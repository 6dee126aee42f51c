"""What tests of the commands share."""

SHORT = ["--weights", "none", "--iterations", "1", "--batch-size", "1", "--workers", "0", "--device", "cpu"]


def refused(capsys, script, args, *words):
    """The script refuses these arguments with one line on stderr that has these words."""
    assert script.main([str(arg) for arg in args]) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.replace("\r", "\n").splitlines() if line.strip() and "%|" not in line]
    message = [line for line in lines if line.startswith("error: ")]
    assert len(message) == 1
    assert lines[-1] == message[0]
    assert "Traceback" not in error
    for word in words:
        assert str(word) in message[0]
