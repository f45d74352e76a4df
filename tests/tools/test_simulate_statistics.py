"""The simulation prints its tables."""

from tools import simulate_statistics


def test_every_table_is_printed(capsys, monkeypatch):
    effort = simulate_statistics.Effort(0, (60, 242))
    monkeypatch.setattr(simulate_statistics, "QUICK", effort)
    assert simulate_statistics.main(["--quick"]) == 0
    printed = capsys.readouterr().out
    for title in ("Coverage, fixed", "Coverage, new", "macro-F1", "Equal methods", "Two methods"):
        assert title in printed
    tables = [part for part in printed.split("\n\n") if part.startswith("|")]
    assert len(tables) == 10
    for table in tables:
        assert len({text.count("|") for text in table.splitlines()}) == 1
    assert "nan" not in printed
