"""Writes what bash completes. It runs in bash 3.2 as well, which has no compopt: words get a blank behind them there.

Never knows which commands and values there are.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from completion_tree import WIDE, Command, Values, all_commands, all_values, spellings_of

_SCRIPT = r"""# What bash completes behind babycli. Made by tools/build_completions.py; starts no Python.

_babycli() {
    local IFS=$' \t\n' words=() cur= typed= before= command=babycli option= value= lead=
    local data=${BABYCLI_DATA:-dataset} logs=logs n_arguments=0 commands= options= valued= arguments=() more=
    COMPREPLY=()
    _babycli_read_words
    _babycli_facts "$command"
    local i word
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        case $word in
        --*=*) _babycli_note "${word%%=*}" "${word#*=}"; option= ;;
        -*) option=; [[ " $valued " == *" $word "* ]] && option=$word ;;
        *)
            if [[ $option ]]; then
                _babycli_note "$option" "$word"
                [[ $option == @WIDE@ ]] || option=
            elif [[ " $commands " == *" $word "* ]]; then
                command+=" $word"
                _babycli_facts "$command"
            else
                ((n_arguments += 1))
                [[ $command == 'babycli report' ]] && logs=$word
            fi ;;
        esac
    done
    value=$cur
    case $option,$cur in
    ,--*=*) option=${cur%%=*}; value=${cur#*=}; lead=$option=; _babycli_value "$command $option" ;;
    ,-*|@WIDE@,-*) _babycli_values '' $options ;;
    ,*)
        [[ $commands ]] && _babycli_values '' $commands
        if ((n_arguments < ${#arguments[@]})); then
            _babycli_value_${arguments[n_arguments]}
        elif [[ $more ]]; then
            _babycli_value_${arguments[${#arguments[@]} - 1]}
        fi ;;
    *) _babycli_value "$command $option" ;;
    esac
}

# Reads the words before the cursor. Bash has cut them at = and :, and replaces only what is behind the last of these.
_babycli_read_words() {
    local i word is_open=
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $i -gt 0 && ( $is_open || $word == [=:]* ) ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
        is_open=
        [[ $word == [=:] ]] && is_open=1
    done
    cur=${words[${#words[@]} - 1]}
    typed=${COMP_WORDS[COMP_CWORD]}
    [[ $typed == [=:]* ]] && typed=
    before=${cur%"$typed"}
}

# Notes where data and logs are: the value of an option, without quotes.
_babycli_note() {
    local place=${2//[\"\'\\]/}
    case $1 in
    @DATA@) data=${place/#\~\//$HOME/} ;;
    @LOGS@) logs=${place/#\~\//$HOME/} ;;
    esac
}

# Offers words and what is found. $1 says how: list (commas between them), name (NAME=FILE), quiet (files only where no
# word fits), and what is to be found: files, folders, sets, hub, models, runs.
_babycli_values() {
    local how=" $1 " head= part=$value word found=()
    shift
    if [[ $how == *' list '* && $value == *,* ]]; then
        head=${value%,*},
        part=${value##*,}
    fi
    if [[ $how == *' name '* && $part == *=* ]]; then
        [[ $how == *' files '* ]] && _babycli_files default
        return
    fi
    [[ $how == *' sets '* ]] && _babycli_find_sets
    [[ $how == *' hub '* ]] && _babycli_find_hub
    [[ $how == *' models '* ]] && _babycli_find_models
    [[ $how == *' runs '* ]] && _babycli_find_runs
    for word in "$@" ${found[@]+"${found[@]}"}; do
        if [[ $word == "$part"* && ",$head" != *",$word,"* ]]; then
            word=$lead$head$word
            COMPREPLY+=("${word#"$before"}")
        fi
    done
    if [[ $how == *' list '* || ${COMPREPLY[0]-} == *[=:] ]] && type compopt &>/dev/null; then
        compopt -o nospace
    fi
    if [[ $how == *' folders '* ]]; then
        _babycli_files dirnames
    elif [[ $how == *' files '* || ( $how == *' quiet '* && ${#COMPREPLY[@]} -eq 0 ) ]]; then
        _babycli_files default
    fi
}

# Lets readline complete files, which knows how to quote them; beside words they are added to these.
_babycli_files() {
    local IFS=$'\n' name
    type compopt &>/dev/null || return
    if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
        compopt +o nospace -o "$1"
    elif [[ $how != *' name '* ]]; then
        compopt -o filenames
        while read -r name; do
            [[ $typed || $name != .* ]] && COMPREPLY+=("$name")
        done < <(compgen -f -- "$typed")
    fi
}

_babycli_find_sets() {
    local place
    for place in "$data"/devcv/*/; do
        place=${place%/}
        [[ -d $place ]] && found+=("${place##*/}")
    done
}

_babycli_find_hub() {
    local place name
    for place in "${HF_HUB_CACHE:-${HF_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/huggingface}/hub}"/models--*/; do
        name=${place%/}
        name=${name##*/models--}
        [[ -d $place ]] && found+=("${name/--//}")
    done
}

_babycli_find_models() {
    local place name last=
    for place in "$logs"/*/*/run.json; do
        [[ -f $place ]] || continue
        name=${place%/*/run.json}
        [[ $name == "$last" ]] && continue
        last=$name
        name=${name##*/}
        printf -v name %q "${name/__//}"
        found+=("$name")
    done
    while IFS= read -r name; do
        printf -v name %q "$name"
        found+=("$name")
    done < <(sed -n 's/^  "name": "\([^"\\]\{1,\}\)",\{0,1\}$/\1/p' "$logs"/*/*/run.json 2>/dev/null | sort -u)
}

_babycli_find_runs() {
    local place name
    for place in "$logs"/*/*/run.json; do
        [[ -f $place ]] || continue
        name=${place#"$logs"/}
        printf -v name %q "${name%/run.json}"
        found+=("$name")
    done
}

_babycli_facts() {
    commands= options= valued= arguments=() more=
    case $1 in
@FACTS@
    esac
}

_babycli_value() {
    case $1 in
@OPTIONS@
    esac
}

@VALUES@

if type compopt &>/dev/null; then
    complete -F _babycli babycli
else
    complete -o default -F _babycli babycli
fi
"""


def bash_script(root: Command) -> str:
    """Gives the script."""
    parts = {
        "@WIDE@": WIDE,
        "@DATA@": "|".join(spellings_of(root, "--data")),
        "@LOGS@": "|".join(spellings_of(root, "--logs")),
        "@FACTS@": "\n".join(map(_facts, all_commands(root))),
        "@OPTIONS@": "\n".join(line for command in all_commands(root) for line in _options(command)),
        "@VALUES@": "\n".join(map(_function, all_values(root))),
    }
    script = _SCRIPT
    for mark, text in parts.items():
        script = script.replace(mark, text)
    return script


def _facts(command: Command) -> str:
    valued = [name for option in command.options if option.values for name in option.names]
    facts = [
        f"commands={_words(below.path[-1] for below in command.commands)}",
        f"options={_words(name for option in command.options for name in option.names)}",
        f"valued={_words(valued)}",
        f"arguments=({' '.join(values.name for values in command.arguments)})",
        "more=1" if command.takes_more else "more=",
    ]
    return f"    {shlex.quote(' '.join(command.path))})\n" + "\n".join(f"        {f}" for f in facts) + " ;;"


def _words(words: Iterable[str]) -> str:
    return shlex.quote(" ".join(words))


def _options(command: Command) -> list[str]:
    """Gives the lines of the values of a command's options."""
    lines = []
    for option in command.options:
        if option.values:
            typed = "|".join(shlex.quote(" ".join((*command.path, name))) for name in option.names)
            lines.append(f"    {typed}) _babycli_value_{option.values.name} ;;")
    return lines


def _function(values: Values) -> str:
    how = [word for word, holds in (("list", values.is_list), ("name", values.has_name)) if holds]
    how += [place.value for place in values.places] + (["quiet"] if values.is_file_otherwise else [])
    words = "".join(f" {shlex.quote(word)}" for word in values.words)
    return f"_babycli_value_{values.name}() {{ _babycli_values {shlex.quote(' '.join(how))}{words}; }}"
