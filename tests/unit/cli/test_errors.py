"""Every error is reported in one sentence that says what to do."""

from pathlib import Path

import pytest
import typer

from services.chassis.errors import ChaparError
from services.chassis.kafka_settings import KafkaSettings
from services.cli.connection import execute
from services.cli.local.workspace import Workspace


def test_a_wrong_setting_is_named_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing error in KAFKA_BOOTSTRAP_SERVERS is the user's error, not a defect of the program."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "garbage")

    async def work() -> None:
        KafkaSettings.from_environment()

    with pytest.raises(typer.Exit):
        execute(work)
    told = capsys.readouterr().err
    assert told.startswith("The setting KAFKA_BOOTSTRAP_SERVERS is wrong")
    assert "garbage" not in told


def test_a_home_that_is_a_file_says_to_choose_another(tmp_path: Path) -> None:
    """Nothing runs in it, and no file can be created in it."""
    file = tmp_path / "file"
    file.write_text("")
    assert Workspace(file).running() is None
    with pytest.raises(ChaparError, match="set CHAPAR_HOME to a directory"):
        Workspace(file).directory("run")
