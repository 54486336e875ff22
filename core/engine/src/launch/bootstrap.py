"""Runs an agent's file as `python FILE console` does, with the console of the SDK connected to a session of Greenroom.

Started as `python -c … FILE console --connect-addr HOST:PORT [--record] [-m MODULE …]`. The file is executed as a script, unmodified.
Its call of `cli.run_app(…)`, wherever it is made, opens the SDK's TCP console instead of the one for terminals. A file
that never mentions `run_app` only has to define an `AgentServer`, as for `python -m livekit.agents console FILE`; code
under its `__main__` guard then runs only if there is no other server. With a module, such as `coverage run`, the module
executes the file, as `python -m MODULE … FILE console` does.

Lines that begin with `greenroom: ` are read by the launcher.
"""

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
import types

NAME_OF_CLI = "livekit.agents.cli.cli"


class NotAnAgent(Exception):
    """The file was executed and gave nothing to talk with."""


class Console:
    """The SDK's TCP console, opened by the first server that is run."""

    def __init__(self, address, record):
        self.address = address
        self.record = record
        self.opened = False

    def run_app(self, server, *_, **__):
        """Takes the place of `livekit.agents.cli.run_app`: it returns as little as that does."""
        agents = sys.modules["livekit.agents"]
        if not isinstance(server, agents.AgentServer):
            server = agents.AgentServer.from_server_options(server)
        check_doors(server)
        without_server(server)
        self.opened = True
        cli = importlib.import_module(NAME_OF_CLI)
        cli._run_tcp_console(server=server, connect_addr=self.address, record=self.record)
        raise SystemExit(0)


def check_doors(server):
    """A server of text endpoints alone accepts the console's job and never starts a session."""
    if getattr(server, "_entrypoint_fnc", ...) is None and getattr(server, "a2a_endpoints", None):
        raise NotAnAgent(
            "serves text endpoints (a2a_session) only: a conversation needs an entrypoint of `@server.rtc_session()`"
        )


def without_server(server):
    """The console needs no LiveKit server, and an url without keys keeps the SDK from starting."""
    keys = (getattr(server, "_api_key", ""), getattr(server, "_api_secret", ""))
    if getattr(server, "_ws_url", "") and not all(keys):
        server._ws_url = ""


class CliHook:
    """Replaces `run_app` in the SDK's module as soon as it is imported, before anything can import the name from it.

    The file imports the SDK itself, so that what it sets up before (variables, logging, patches) has its effect.
    """

    def __init__(self, console):
        self.console = console

    def find_spec(self, name, path=None, target=None):
        if name != NAME_OF_CLI:
            return None
        spec = next(filter(None, (find(name, path, target) for find in self.other_finders())), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_replace(module):
                load(module)
                if module.__name__ == NAME_OF_CLI:
                    module.run_app = self.console.run_app

            spec.loader.exec_module = load_and_replace
        return spec

    def other_finders(self):
        return (finder.find_spec for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))


class LastResort:
    """Finds top-level modules that are nowhere else: below the project's folder, for files that are not in it."""

    def __init__(self, folders):
        self.folders = folders

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, self.folders) if path is None else None


class Script:
    """The agent's file as the `__main__` module."""

    def __init__(self, file):
        self.file = os.path.abspath(file)
        # As for `python FILE`: the real file's folder is the first where modules are looked for.
        self.folder = os.path.dirname(os.path.realpath(file))
        with open(self.file, "rb") as source:
            self.tree = ast.parse(source.read(), self.file)
        self.stem = os.path.basename(self.file).rpartition(".")[0]
        self.package, self.package_root = self.find_package()

    def find_package(self):
        """The package by which its relative imports work, as for `python -m PACKAGE.NAME`."""
        levels = [node.level for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)]
        folder, parts = self.folder, []
        while len(parts) < max(levels, default=0) or os.path.isfile(os.path.join(folder, "__init__.py")):
            above, name = os.path.split(folder)
            if not name:
                break
            parts.insert(0, name)
            folder = above
        return (".".join(parts) if any(levels) else None), folder

    def mentions_run_app(self):
        names = (
            getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)
            for node in ast.walk(self.tree)
        )
        return "run_app" in names

    def guards(self):
        """The statements `if __name__ == "__main__": …`."""

        def is_guard(node):
            if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
                return False
            sides = [node.test.left, *node.test.comparators]
            names = [side.id for side in sides if isinstance(side, ast.Name)]
            values = [side.value for side in sides if isinstance(side, ast.Constant)]
            return names == ["__name__"] and values == ["__main__"]

        return [node for node in self.tree.body if is_guard(node)]

    def prepare(self):
        fallback = [os.getcwd(), self.package_root]
        if self.package:
            sys.path.insert(0, self.package_root)
            fallback.insert(0, self.folder)
        else:
            sys.path.insert(0, self.folder)
        sys.meta_path.append(LastResort(fallback))
        module = types.ModuleType("__main__")
        module.__file__ = self.file
        module.__builtins__ = __builtins__
        module.__loader__ = importlib.machinery.SourceFileLoader("__main__", self.file)
        module.__package__ = self.package
        sys.modules["__main__"] = module
        if self.package:
            importlib.import_module(self.package)
        self.module = module

    def run(self):
        """As `python FILE` does."""
        self.execute(self.tree.body)

    def define(self):
        """As an import does, under the name by which other modules of the project import it."""
        name = re.sub(r"\W", "_", self.stem)
        if self.package:
            name = f"{self.package}.{name}"
        while not self.is_own(name):
            name += "_"
        self.module.__name__ = name
        sys.modules[name] = self.module
        self.execute(self.tree.body)

    def is_own(self, name):
        """Whether no other module has that name: a package beside the file may."""
        if name in sys.modules:
            return False
        spec = importlib.util.find_spec(name)
        return spec is None or (bool(spec.origin) and os.path.realpath(spec.origin) == os.path.realpath(self.file))

    def run_guards(self):
        self.module.__name__ = "__main__"
        self.execute(self.guards())

    def execute(self, statements):
        tree = ast.Module(body=statements, type_ignores=self.tree.type_ignores)
        exec(compile(tree, self.file, "exec", dont_inherit=True), self.module.__dict__)

    def server(self):
        """The global that the SDK would choose."""
        agents = sys.modules.get("livekit.agents")
        found = vars(self.module)
        for kind in (getattr(agents, "AgentServer", None), getattr(agents, "WorkerOptions", None)):
            for name in ["app", "server", "agent", *sorted(found)]:
                if kind is not None and isinstance(found.get(name), kind):
                    return found[name]
        return None


def hiding_modules(error, script):
    """Files of the project that are imported in the place of Python's or an installed package's, and concern the error.

    They are named by the error, or in its traceback.
    """
    named = set()
    if isinstance(error, ImportError) and error.name:
        named.add(error.name.partition(".")[0])
    named.update(re.findall(r"module '(\w+)", str(error)))
    files = set()
    trace = error.__traceback__
    while trace is not None:
        files.add(os.path.realpath(trace.tb_frame.f_code.co_filename))
        trace = trace.tb_next
    local = {os.path.realpath(folder) for folder in (script.folder, script.package_root, os.getcwd())}
    elsewhere = [path for path in sys.path if os.path.realpath(path) not in local]
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not file:
            continue
        file = os.path.realpath(file)
        folder = os.path.dirname(file)
        if os.path.basename(file) == "__init__.py":
            folder = os.path.dirname(folder)
        if folder not in local or file == os.path.realpath(script.file) or not (name in named or file in files):
            continue
        if name in sys.stdlib_module_names:
            yield file, f"Python's own module {name}"
        elif importlib.machinery.PathFinder.find_spec(name, elsewhere) is not None:
            yield file, f"the installed package {name}"


def report(error, script):
    """Prints the error as the interpreter does, without the frames of this code, and what explains it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in (OWN_NAME, ast.__file__):
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    if script is None:
        return
    for file, what in hiding_modules(error, script):
        tell(f"{file} hides {what}: rename it")


def tell(text):
    print(f"greenroom: {text}", file=sys.stderr, flush=True)


def run(script, console):
    script.prepare()
    if script.mentions_run_app():
        try:
            script.run()
        except SystemExit as end:
            # 2 is what parsers of arguments end with: they know no `console`.
            if console.opened or end.code not in (None, 0, 2):
                raise
        if console.opened:
            return
        server = script.server()
        if server is None:
            raise NotAnAgent(
                f"ends without a call of `cli.run_app(…)` when it is run as `python {os.path.basename(script.file)} "
                "console`: make the call whatever the arguments are, or define the server as a global, such as "
                "`server = AgentServer()`"
            )
    else:
        script.define()
        if script.server() is None:
            script.run_guards()
        elif script.guards():
            tell("the code under its `__main__` guard was not run, since the file never calls run_app")
        if console.opened:
            return
        server = script.server()
        if server is None:
            # The SDK's words.
            raise NotAnAgent("")
    console.run_app(server)


def run_by_module(module, script, console, file):
    """As `python -m MODULE … FILE console` does.

    A file that never calls run_app, or is in a package, is run by the SDK's own module instead.
    """
    import runpy

    program = [file, "console"]
    is_own = script.mentions_run_app() and not script.package
    if not is_own:
        program = ["-m", "livekit.agents", "console", file, "--connect-addr", console.address]
        program += ["--record"] if console.record else []
    sys.argv = [*module, *program]
    sys.path.insert(0, os.getcwd())
    sys.meta_path.append(LastResort([os.getcwd(), script.folder]))
    try:
        runpy.run_module(module[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if console.opened or not is_own or end.code not in (None, 0):
            raise
    if is_own and not console.opened:
        raise NotAnAgent(f"ends without a call of `cli.run_app(…)` when it is run by `python -m {' '.join(sys.argv)}`")


def main():
    _, file, _, _, address, *rest = sys.argv
    module = rest[rest.index("-m") + 1 :] if "-m" in rest else []
    console = Console(address, record=rest[:1] == ["--record"])
    sys.argv = [file, "console"]
    sys.meta_path.insert(0, CliHook(console))
    script = None
    try:
        script = Script(file)
        if module:
            run_by_module(module, script, console, file)
        else:
            run(script, console)
    except NotAnAgent as error:
        tell(f"not an agent: {error}")
        sys.exit(1)
    except Exception as error:
        report(error, script)
        sys.exit(1)


OWN_NAME = main.__code__.co_filename

main()
