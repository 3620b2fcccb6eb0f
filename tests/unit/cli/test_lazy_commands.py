"""Every command is listed, and none waits for the libraries of another."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import typer
from typer.testing import CliRunner

import services.cli.commands
from services.cli.__main__ import app
from services.cli.lazy_commands import COMMANDS

FILES = Path(services.cli.commands.__file__).parent.glob("*.py")


def test_each_module_with_a_command_of_its_name_is_listed_once() -> None:
    """Other modules in `commands` belong to one of these."""
    modules = {
        file.stem: import_module(f"services.cli.commands.{file.stem}") for file in FILES if file.stem != "__init__"
    }
    assert sorted(COMMANDS) == sorted(
        name
        for name, module in modules.items()
        if getattr(getattr(module, name, None), "__module__", None) == module.__name__
        or isinstance(getattr(module, "app", None), typer.Typer)
    )


def test_each_command_shows_its_help() -> None:
    for name in COMMANDS:
        shown = CliRunner().invoke(app, [name, "--help"])
        assert shown.exit_code == 0, name
        assert f"{name} [OPTIONS]" in shown.output


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    refused = CliRunner().invoke(app, ["agnets"])
    assert refused.exit_code == 2
    assert "Did you mean 'agents'" in refused.output


def test_a_command_does_not_import_the_others() -> None:
    """A command of an operator starts without the servers and simulated customers of `run` and `demo`."""
    program = (
        "import sys; from typer.testing import CliRunner; from services.cli.__main__ import app; "
        "assert CliRunner().invoke(app, ['token', '--help']).exit_code == 0; "
        "print(sorted(name for name in sys.modules if name.removeprefix('services.cli.commands.') in sys.argv and '.' in name))"
    )
    done = subprocess.run([sys.executable, "-c", program, *COMMANDS], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['services.cli.commands.token']"
