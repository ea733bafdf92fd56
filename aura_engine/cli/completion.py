"""`aura completion SHELL`: a script that completes commands and options, made from the commands' own parsers."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from aura_engine.cli.main import ASKED, COMMANDS
from aura_engine.cli.options import command

SHELLS = ("bash", "zsh", "fish")
BASH = """\
# aura completion bash: put into ~/.bashrc:  eval "$(aura completion bash)"
_aura() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} words
    COMPREPLY=()
    case "$COMP_CWORD:${{COMP_WORDS[1]}}" in
    1:*) words="{commands}" ;;
{cases}
    *) words="{start}" ;;
    esac
    [[ $COMP_CWORD -eq 1 && $current == -* ]] && words="{start}"
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _aura aura
"""
ZSH = """\
#compdef aura
# aura completion zsh: put into ~/.zshrc, behind compinit:  eval "$(aura completion zsh)"
_aura() {{
    local -a found
    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        found=(
{commands}
        )
        _describe command found
        _files
        return
    fi
    case $words[2] in
{cases}
    *) found=({start}) ;;
    esac
    _describe option found
    _files
}}
compdef _aura aura
"""
FISH = """\
# aura completion fish: aura completion fish > ~/.config/fish/completions/aura.fish
function __aura_without_command
    not __fish_seen_subcommand_from {commands}
end
{lines}
"""


@dataclass(frozen=True)
class Word:
    """Something to complete to."""

    text: str
    about: str


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "completion",
        "Prints a script with which your shell completes aura's commands and options.",
        'eval "$(aura completion bash)"                                   in ~/.bashrc',
        'eval "$(aura completion zsh)"                                    in ~/.zshrc, behind compinit',
        "aura completion fish > ~/.config/fish/completions/aura.fish     once",
    )
    made.add_argument("shell", choices=SHELLS)
    return made


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    make = {"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments.shell]
    print(make({name: list(_words(_parser(name))) for name in COMMANDS}), end="")
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    if name in ASKED:
        return importlib.import_module("aura_engine.cli.asks").parser(name)
    return importlib.import_module(f"aura_engine.cli.{name.replace('-', '_')}").parser()


def _words(made: argparse.ArgumentParser) -> Iterator[Word]:
    """Long options, and words that an argument is limited to, with those of commands within the command."""
    for action in made._actions:  # pyright: ignore[reportPrivateUsage]  argparse offers no other way to look at them
        about = re.sub(r"%\(.*?\)s", "", action.help or "")
        yield from (Word(option, about) for option in action.option_strings if option.startswith("--"))
        choices: Any = action.choices
        if isinstance(choices, dict):
            for verb, below in cast("dict[str, argparse.ArgumentParser]", choices).items():
                yield Word(verb, "")
                yield from (word for word in _words(below) if word.text != "--help")
        elif choices and not action.option_strings:
            yield from (Word(str(choice), about) for choice in choices)


def _bash(found: dict[str, list[Word]]) -> str:
    def listed(words: list[Word]) -> str:
        return " ".join(dict.fromkeys(word.text for word in words))

    cases = "\n".join(f'    *:{name}) words="{listed(words)}" ;;' for name, words in found.items())
    return BASH.format(commands=" ".join(found), cases=cases, start=listed(found["start"]))


def _zsh(found: dict[str, list[Word]]) -> str:
    def listed(words: list[Word]) -> str:
        rows = {word.text: word.about for word in words}
        return " ".join(_quoted(f"{text}:{about}" if about else text) for text, about in rows.items())

    commands = "\n".join(f"            {_quoted(f'{name}:{about}')}" for name, about in COMMANDS.items())
    cases = "\n".join(f"    {name}) found=({listed(words)}) ;;" for name, words in found.items())
    return ZSH.format(commands=commands, cases=cases, start=listed(found["start"]))


def _fish(found: dict[str, list[Word]]) -> str:
    lines = [f"complete -c aura -n __fish_use_subcommand -a {name} -d {_quoted(COMMANDS[name])}" for name in found]
    seen = {"__aura_without_command": found["start"]}  # aura TASK.md
    seen |= {f"'__fish_seen_subcommand_from {name}'": words for name, words in found.items()}
    for condition, words in seen.items():
        here = f"complete -c aura -n {condition}"
        for text, about in {word.text: word.about for word in words}.items():
            what = f"-l {text[2:]}" if text.startswith("--") else f"-a {text}"
            lines.append(f"{here} {what}{f' -d {_quoted(about)}' if about else ''}")
    return FISH.format(commands=" ".join(found), lines="\n".join(lines))


def _quoted(text: str) -> str:
    """In single quotes, as all three shells take it."""
    return "'" + text.replace("'", "’") + "'"
