"""Projects as people lay them out, started through the installed package; what runs by `python FILE start` starts here."""

import os
import shlex
import sys
from pathlib import Path

import pytest

import greenroom

HEAD = """
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, WorkerOptions, cli
async def entrypoint(ctx: JobContext):
    await AgentSession().start(agent=Agent(instructions=INSTRUCTIONS), room=ctx.room)
"""
SERVER = "server = AgentServer()\nserver.rtc_session()(entrypoint)\n"
GUARD = "if __name__ == '__main__':\n"
USUAL = f"INSTRUCTIONS = 'x'\n{HEAD}{SERVER}{GUARD}    cli.run_app(server)\n"
IMPORTED = HEAD + SERVER + GUARD + "    cli.run_app(server)\n"

LAYOUTS = {
    "relative imports": (
        "shop/main.py",
        {
            "shop/__init__.py": "",
            "shop/words.py": "INSTRUCTIONS = 'x'\n",
            "shop/main.py": f"from .words import INSTRUCTIONS\n{IMPORTED}",
        },
    ),
    "src layout": (
        "src/agent.py",
        {
            "src/__init__.py": "",
            "src/words.py": "INSTRUCTIONS = 'x'\n",
            "src/agent.py": f"from words import INSTRUCTIONS\n{IMPORTED}",
        },
    ),
    "arguments of its own": (
        "agent.py",
        {
            "agent.py": f"INSTRUCTIONS = 'x'\n{HEAD}{SERVER}{GUARD}"
            "    import argparse\n"
            "    parser = argparse.ArgumentParser()\n"
            "    parser.add_argument('command', choices=['start', 'dev'])\n"
            "    parser.parse_args()\n"
            "    cli.run_app(server)\n"
        },
    ),
    "worker options": (
        "agent.py",
        {
            "agent.py": f"INSTRUCTIONS = 'x'\n{HEAD}{GUARD}"
            "    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))\n"
        },
    ),
    "a server made in main": (
        "agent.py",
        {
            "agent.py": f"INSTRUCTIONS = 'x'\n{HEAD}def main():\n    server = AgentServer()\n"
            f"    server.rtc_session()(entrypoint)\n    cli.run_app(server)\n{GUARD}    main()\n"
        },
    ),
    "dots in the name": ("agent-v1.2.py", {"agent-v1.2.py": USUAL}),
    "beside a package of its name": ("agent.py", {"agent.py": USUAL, "agent/__init__.py": "raise ImportError\n"}),
    "variables set under the guard": (
        "agent.py",
        {
            "agent.py": "import os\n"
            + HEAD.replace("INSTRUCTIONS", "os.environ['WORDS']")
            + f"{SERVER}{GUARD}    os.environ['WORDS'] = 'x'\n    cli.run_app(server)\n"
        },
    ),
    "an url without keys": ("agent.py", {"agent.py": USUAL}),
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_project_starts(layout: str, tmp_path: Path) -> None:
    entry, files = LAYOUTS[layout]
    write(tmp_path, {"requirements.txt": "", **files})
    env = {"LIVEKIT_URL": "ws://127.0.0.1:1"} if layout == "an url without keys" else {}
    async with greenroom.start(tmp_path / entry, env=env, timeout=120) as session:
        assert (await session.agent_info()).instructions == "x"


TOOLS = {
    "poetry": ("poetry.lock", "env info --path", "run python"),
    "pipenv": ("Pipfile", "--venv", "run python"),
}


@pytest.mark.parametrize("tool", TOOLS)
async def test_environment_that_a_tool_keeps_elsewhere_is_found(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker, question, run = TOOLS[tool]
    write(tmp_path, {"agent.py": USUAL, marker: ""})
    env = shlex.quote(sys.prefix)
    script = tmp_path / "bin" / tool
    script.parent.mkdir()
    script.write_text(
        f"#!/bin/sh\ncase \"$*\" in\n'{question}') echo {env} ;;\n'{run} '*) shift 2\n"
        f'VIRTUAL_ENV={env} exec {env}/bin/python "$@" ;;\n*) exit 1 ;;\nesac\n'
    )
    script.chmod(0o755)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    # Without the interpreter of this suite, which is in that environment, too.
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    async with greenroom.start(tmp_path / "agent.py", timeout=120) as session:
        assert (await session.agent_info()).instructions == "x"


async def test_file_that_hides_a_module_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"agent.py": USUAL, "livekit/__init__.py": ""})
    with pytest.raises(greenroom.GreenroomError, match=r"hides the installed package livekit: rename it"):
        await greenroom.start(tmp_path / "agent.py", timeout=120)


async def test_environment_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"agent.py": USUAL, "pyproject.toml": ""})
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("")
    (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    with pytest.raises(greenroom.InterpreterNotFound, match=r"\.venv"):
        await greenroom.start(tmp_path / "agent.py", timeout=120)


async def test_user_and_password_of_an_index_are_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"agent.py": USUAL, "pyproject.toml": "[project]\nname = 'x'\n", "uv.lock": "", "bin/uv": ""})
    script = tmp_path / "bin" / "uv"
    script.write_text("#!/bin/sh\necho error: https://ada:secret-password@pypi.corp.test/simple answered 401\nexit 2\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    with pytest.raises(greenroom.GreenroomError) as refused:
        await greenroom.start(tmp_path / "agent.py", timeout=60)
    text = f"{refused.value} {refused.value.detail}"
    assert "https://…@pypi.corp.test/simple" in text
    assert "secret-password" not in text
    assert "ada" not in text
