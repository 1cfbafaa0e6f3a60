"""Writes what zsh completes.

The script may lie on zsh's fpath, or be read by .zshrc. Never knows which commands and values there are.
"""

from __future__ import annotations

import shlex

from completion_tree import Command, Option, Values, all_commands, all_values, spellings_of

_SCRIPT = r"""#compdef babycli
# What zsh completes behind babycli. Made by tools/build_completions.py; starts no Python.

@COMMANDS@

@VALUES@

# Offers words and what is found; $1 says how, see babycli.bash.
_babycli_values() {
    local how=" $1 " typed=$PREFIX
    local -a found used suffix
    shift
    if [[ $how == *' list '* ]]; then
        used=("${(@s:,:)${PREFIX%,*}}")
        [[ $PREFIX == *,* ]] || used=()
        compset -P '*,'
        suffix=(-S '')
    fi
    if [[ $how == *' name '* ]]; then
        if compset -P '*='; then
            [[ $how == *' files '* ]] && _files
            return
        fi
    fi
    found=("$@")
    [[ $how == *' sets '* ]] && _babycli_find_sets
    [[ $how == *' hub '* ]] && _babycli_find_hub
    [[ $how == *' models '* ]] && _babycli_find_models
    [[ $how == *' runs '* ]] && _babycli_find_runs
    found=("${(@)found:|used}")
    [[ ${found[1]-} == *[=:] ]] && suffix=(-S '')
    local is_done=1
    ((${#found})) && compadd "${suffix[@]}" -a found && is_done=0
    if [[ $how == *' folders '* ]]; then
        _files -/ && is_done=0
    elif [[ $how == *' files '* || ( $how == *' quiet '* && $is_done -eq 1 ) ]]; then
        _files && is_done=0
    fi
    return is_done
}

# Completes an argument, $3, which belongs to the option $1, and is $2, if that is the last option that was typed.
_babycli_behind() {
    if [[ ${${(M)words[2,CURRENT-1]:#-*}[-1]-} == $1 ]]; then
        _babycli_value_$2
    else
        _babycli_value_$3
    fi
}

# Gives the value of an option that was typed, without quotes, else $1; the rest are the option's spellings.
_babycli_typed() {
    local value=$1 i name
    shift
    for ((i = 1; i < CURRENT; i++)); do
        for name in "$@"; do
            [[ $words[i] == $name && $i -lt $((CURRENT - 1)) ]] && value=${(Q)words[i+1]}
            [[ $words[i] == $name=* ]] && value=${(Q)words[i]#*=}
        done
    done
    REPLY=${value/#\~\//$HOME/}
}

# Gives the folder of the runs: behind an option or, in babycli report, the last argument that is a folder.
_babycli_logs() {
    _babycli_typed logs @LOGS@
    [[ $words[1] == report ]] || return
    local word
    for word in ${words[2,CURRENT-1]}; do
        [[ -d ${${(Q)word}/#\~\//$HOME/} ]] && REPLY=${${(Q)word}/#\~\//$HOME/}
    done
}

_babycli_find_sets() {
    local REPLY
    _babycli_typed ${BABYCLI_DATA:-dataset} @DATA@
    found+=($REPLY/devcv/*(N-/:t))
}

_babycli_find_hub() {
    local place
    for place in ${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub}/models--*(N-/:t); do
        found+=(${${place#models--}/--//})
    done
}

_babycli_find_models() {
    local REPLY place
    local -a files
    _babycli_logs
    files=($REPLY/*/*/run.json(N-.))
    ((${#files})) || return
    found+=(${(u)${files:h:h:t}/__//})
    found+=(${(fu)"$(sed -n 's/^  "name": "\([^"\\]\{1,\}\)",\{0,1\}$/\1/p' $files 2>/dev/null)"})
}

_babycli_find_runs() {
    local REPLY
    local -a files
    _babycli_logs
    files=($REPLY/*/*/run.json(N-.))
    found+=(${${files#$REPLY/}:h})
}

if [[ $funcstack[1] == _babycli ]]; then
    _babycli "$@"  # zsh has read this file because TAB was pressed, and waits for words
else
    (($+functions[compdef])) || { autoload -Uz compinit && compinit -i }
    compdef _babycli babycli
fi
"""


def zsh_script(root: Command) -> str:
    """Gives the script."""
    parts = {
        "@DATA@": " ".join(spellings_of(root, "--data")),
        "@LOGS@": " ".join(spellings_of(root, "--logs")),
        "@COMMANDS@": "\n\n".join(map(_command, all_commands(root))),
        "@VALUES@": "\n".join(map(_function, all_values(root))),
    }
    script = _SCRIPT
    for mark, text in parts.items():
        script = script.replace(mark, text)
    return script


def _command(command: Command) -> str:
    """Gives the function that completes a command."""
    specs = [spec for option in command.options for spec in _specs(option)]
    if command.commands:
        specs += [shlex.quote("1: :->command"), shlex.quote("*:: :->rest")]
    else:
        for n, values in enumerate(command.arguments, start=1):
            place = "*" if command.takes_more and n == len(command.arguments) else str(n)
            wide = next((option for option in command.options if option.is_wide and option.values), None)
            action = _name_of(values)
            if wide is not None and wide.values is not None:
                action = f" _babycli_behind {wide.names[0]} {wide.values.name} {values.name}"
            specs.append(shlex.quote(f"{place}:{_title(values)}:{action}"))
    lines = [f"{_name(command)}() {{", "    local curcontext=$curcontext state line", "    typeset -A opt_args"]
    lines += ["    _arguments -C -s -S \\"] if command.commands else ["    _arguments -s -S \\"]
    lines += [f"        {spec} \\" for spec in specs[:-1]] + [f"        {specs[-1]}"]
    if command.commands:
        described = " ".join(shlex.quote(f"{below.path[-1]}:{below.help}") for below in command.commands)
        lines += ["    case $state in", "    command)", f"        local -a commands=({described})"]
        lines += ["        _describe -t commands command commands"]
        lines += [f"        {_name_of(command.arguments[0])}"] if command.arguments else []
        lines += ["        ;;", "    rest)", "        case $line[1] in"]
        lines += [f"        {below.path[-1]}) {_name(below)} ;;" for below in command.commands]
        lines += ["        esac ;;", "    esac"]
    return "\n".join([*lines, "}"])


def _specs(option: Option) -> list[str]:
    """Gives what _arguments is told of an option: once for each spelling."""
    help_text = option.help.replace("\\", "\\\\").replace("[", r"\[").replace("]", r"\]")
    others = " ".join([*option.names, *option.excluded])
    specs = []
    for name in option.names:
        value = ""
        if option.values is not None:
            name = f"{name}=" if name.startswith("--") else f"{name}+"
            value = f":{_title(option.values)}:{_name_of(option.values)}"
        start = "*" if option.is_repeated else f"({others})"
        specs.append(shlex.quote(f"{start}{name}[{help_text}]{value}"))
    return specs


def _name(command: Command) -> str:
    return "_" + "_".join(command.path)


def _title(values: Values) -> str:
    return values.name.replace("_", " ")


def _name_of(values: Values) -> str:
    return f"_babycli_value_{values.name}"


def _function(values: Values) -> str:
    how = [word for word, holds in (("list", values.is_list), ("name", values.has_name)) if holds]
    how += [place.value for place in values.places] + (["quiet"] if values.is_file_otherwise else [])
    words = "".join(f" {shlex.quote(word)}" for word in values.words)
    return f"{_name_of(values)}() {{ _babycli_values {shlex.quote(' '.join(how))}{words} }}"
