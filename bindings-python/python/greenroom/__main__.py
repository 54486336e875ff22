"""`python -m greenroom`: the native command that this package installed, in place of this interpreter."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

_PROGRAM = "greenroom" + (sysconfig.get_config_var("EXE") or "")


def _places() -> list[Path]:
    """Where an installer puts this package's scripts, most likely first."""
    folders = [Path(sysconfig.get_path("scripts"))]
    # pip install --user
    folders.append(Path(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user"))))
    # A virtual environment whose interpreter is started by its path, and a distribution that patches its schemes.
    folders.append(Path(sys.executable).parent)
    # pip install --target DIR, and tools that put each requirement in an environment of its own.
    package = Path(__file__).resolve().parent
    folders.append(package.parent / ("Scripts" if os.name == "nt" else "bin"))
    return [folder / _PROGRAM for folder in dict.fromkeys(folders)]


def find_program() -> Path:
    """The path of the native command.

    Raises:
        FileNotFoundError: No place that an installer uses has it; the message lists them.
    """
    places = _places()
    for place in places:
        if place.is_file():
            return place
    looked = "".join(f"\n  {place}" for place in places)
    raise FileNotFoundError(
        f"the command greenroom is not where this package's installer puts scripts; looked for{looked}\n"
        f"Install it again: {sys.executable} -m pip install --force-reinstall greenroom"
    )


def main() -> int:
    """Becomes the native command; returns only on Windows, which cannot replace a process, and on an error."""
    try:
        program = str(find_program())
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    arguments = [program, *sys.argv[1:]]
    if os.name != "nt":
        os.execv(program, arguments)
    return subprocess.run(arguments, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
