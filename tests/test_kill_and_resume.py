"""A few kills at random moments; `python -m tests.kill_and_resume` makes more of them."""

from tests import small_network
from tests.kill_and_resume import kill_and_resume


def test_killed_runs_end_as_undisturbed_ones(tmp_path, monkeypatch):
    small_network.use(monkeypatch.setattr)
    told = kill_and_resume(tmp_path, kills=3, iterations=12)
    assert len(told) == 3
    assert "in a save" in told[2]
