"""Defaults that docstrings and help texts state: those of the signatures."""

import ast
import inspect
import re

import click
import pytest

import tfnst
from tests.test_public_names import documented
from tfnst import client, server
from tfnst.cli.command import cli

UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
VALUE = r'`?("[^"]*"|True|False|None|[\d][\d.,]*(?: [KMG]iB)?)`?'
# "Default 5." or "Default None: no limit."; "5 by default"; '"none" (the default)'.
STATED = re.compile(
    rf"\bDefault {VALUE}(?=[.:;,]|$)|{VALUE} by default|{VALUE},? \(?(?:the )?default\b"
)
# Where the command gets the defaults of options that it leaves out.
LIBRARY = {
    "export": (tfnst.export_saved_model,),
    "request": (client.StylizeClient, client.StylizeClient.stylize),
    "serve": (server.ModelServer, server.serve),
}


def read_value(text):
    """The value that a docstring shows, such as `"path"`, 8,500 or 64 MiB."""
    if not text[0].isdigit():
        return ast.literal_eval(text)
    number, _, unit = text.rstrip(".,").replace(",", "").partition(" ")
    return ast.literal_eval(number) * UNITS.get(unit, 1)


def described(function):
    """The text of a docstring on each argument or attribute, by name."""
    text = inspect.cleandoc(function.__doc__ or "")
    found = {}
    for section in re.findall(
        r"^(?:Args|Attributes):\n((?: {4}.*\n?|\n)*)", text, re.MULTILINE
    ):
        for name, about in re.findall(
            r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE
        ):
            found[name] = " ".join(about.split())
    return found


def public_functions():
    """Public functions, classes and methods, by name."""
    for package, names in documented().items():
        module = __import__(package, fromlist=names)
        for name in names:
            value = getattr(module, name)
            if callable(value):
                yield f"{package}.{name}", value
            if inspect.isclass(value):
                for method, function in inspect.getmembers(value, callable):
                    if not method.startswith("_"):
                        yield f"{package}.{name}.{method}", function


def stated_defaults():
    """(name of an argument, the default that its docstring states, the real one)."""
    for name, function in public_functions():
        for argument, text in described(function).items():
            for groups in STATED.findall(text):
                default = inspect.signature(function).parameters[argument].default
                yield f"{name}({argument})", read_value("".join(groups)), default


def test_docstrings_state_the_defaults_of_signatures():
    found = list(stated_defaults())
    assert len(found) > 40
    wrong = [
        f"{name}: {stated!r} is stated, {default!r} is the default"
        for name, stated, default in found
        # None stands for what the function then chooses.
        if default is not None and stated != default
    ]
    assert wrong == []


@pytest.mark.parametrize("command", cli.commands.values(), ids=list(cli.commands))
def test_help_texts_state_the_defaults_of_options(command):
    library = {}
    for function in LIBRARY.get(command.name, ()):
        library |= inspect.signature(function).parameters
    parent = click.Context(cli, **cli.context_settings)
    with click.Context(command, parent=parent) as context:
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            default = option.get_default(context)
            if option.name in library:
                default = library[option.name].default
            elif hasattr(tfnst.StyleTransferConfig, option.name) and default is None:
                default = getattr(tfnst.StyleTransferConfig, option.name)
            if isinstance(default, bool) or not isinstance(default, int | float | str):
                continue
            _, text = option.get_help_record(context)
            stated = re.search(r"\[default: ([^;\]]*)", text)
            assert stated is not None, f"{option.opts}: {default!r} isn't stated"
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert stated[1] in (shown, str(default), "the server's"), option.opts
