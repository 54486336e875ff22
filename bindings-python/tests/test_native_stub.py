"""The declarations of the native half say what it has."""

import ast
import inspect
from pathlib import Path

import pytest

from greenroom import _native

STUB = ast.parse(Path(_native.__file__).with_name("_native.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}


def arguments(function: ast.FunctionDef) -> list[str]:
    return [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]


def test_every_name_is_declared_and_every_declaration_is_there():
    assert {*CLASSES, *FUNCTIONS} == set(_native.__all__)
    declared = next(node.value for node in STUB.body if isinstance(node, ast.Assign))
    assert sorted(ast.literal_eval(declared)) == sorted(_native.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_what_is_declared(name):
    assert arguments(FUNCTIONS[name]) == list(inspect.signature(getattr(_native, name)).parameters)


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - {"NativeError"}))
def test_a_class_has_the_methods_that_are_declared(name):
    cls = getattr(_native, name)
    methods = {node.name: node for node in CLASSES[name].body if isinstance(node, ast.FunctionDef)}
    assert set(methods) - {"__new__"} == {method for method in vars(cls) if not method.startswith("__")}
    for method, node in methods.items():
        signature = inspect.signature(cls if method == "__new__" else getattr(cls, method))
        assert arguments(node) == [parameter for parameter in signature.parameters if parameter != "self"], method
