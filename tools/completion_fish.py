"""Writes what fish completes.

Never knows which commands and values there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from completion_tree import Command, Option, Place, Values, all_commands, all_values, spellings_of

_SCRIPT = r"""# What fish completes behind babycli. Made by tools/build_completions.py; starts no Python.

# Gives the words that were typed and are no options; those behind $argv, a command, or fails if it is another one.
function __babycli_arguments
    set -l typed (commandline -opc)[2..]
    set -l words
    set -l skips no
    for word in $typed
        if test $skips = yes
            set skips no
        else if string match -q -- '-*' $word
            contains -- $word @VALUED@; and set skips yes
        else
            set -a words $word
        end
    end
    set -l n (count $argv)
    if test $n -gt 0
        test (count $words) -ge $n; and test "$words[1..$n]" = "$argv"; or return 1
        set -e words[1..$n]
    end
    for word in $words
        echo $word
    end
end

# Tells whether a command was typed, and $argv[1] arguments behind it, or more where that ends with +.
function __babycli_at
    set -l words (__babycli_arguments $argv[2..]); or return 1
    set -l n (string trim -c + -- $argv[1])
    if string match -q -- '*+' $argv[1]
        test (count $words) -ge $n
    else
        test (count $words) -eq $n
    end
end

# Gives the value of an option that was typed, else $argv[1]; the rest are the option's spellings.
function __babycli_typed
    set -l value $argv[1]
    set -l words (commandline -opc)
    for i in (seq (count $words))
        for name in $argv[2..]
            test "$words[$i]" = $name; and test $i -lt (count $words); and set value $words[(math $i + 1)]
            string match -q -- "$name=*" $words[$i]; and set value (string replace -- "$name=" '' $words[$i])
        end
    end
    string replace -r '^~(?=/)' -- $HOME $value
end

function __babycli_logs
    set -l found (__babycli_typed logs @LOGS@)
    for word in (__babycli_arguments report)
        test -d $word; and set found $word
    end
    echo $found
end

function __babycli_sets
    set -l data dataset
    set -q BABYCLI_DATA; and set data $BABYCLI_DATA
    for place in (__babycli_typed $data @DATA@)/devcv/*/
        string replace -r '.*/' '' -- (string trim -r -c / -- $place)
    end
end

function __babycli_hub
    set -l cache $HOME/.cache
    set -q XDG_CACHE_HOME; and set cache $XDG_CACHE_HOME
    set -l hub $cache/huggingface/hub
    set -q HF_HOME; and set hub $HF_HOME/hub
    set -q HF_HUB_CACHE; and set hub $HF_HUB_CACHE
    for place in $hub/models--*/
        string replace -r '.*/models--' '' -- (string trim -r -c / -- $place) | string replace -- -- /
    end
end

function __babycli_models
    for place in (__babycli_logs)/*/*/run.json
        string replace -r '.*/([^/]+)/[^/]+/run\.json$' '$1' -- $place | string replace __ /
        string replace -rf -- '^  "name": "([^"\\\\]+)".*' '$1' <$place
    end
end

function __babycli_runs
    for place in (__babycli_logs)/*/*/run.json
        string replace -r '.*/([^/]+/[^/]+)/run\.json$' '$1' -- $place
    end
end

# Gives each line behind what of a list is typed already.
function __babycli_list
    set -l head (string replace -r '[^,]*$' '' -- (commandline -ct | string replace -r '^--[a-z-]+=' ''))
    while read -l word
        string match -q -- "*,$word,*" ",$head"; or echo $head$word
    end
end

# Completes the file behind NAME=.
function __babycli_named_file
    set -l word (commandline -ct | string replace -r '^--[a-z-]+=' '')
    string match -q -- '*=*' $word; or return
    set -l head (string replace -r '[^=]*$' '' -- $word)
    for file in (__fish_complete_path (string replace -r '.*=' '' -- $word))
        echo $head$file
    end
end

complete -c babycli -e
complete -c babycli -f
@LINES@
"""


def fish_script(root: Command) -> str:
    """Gives the script."""
    valued = (name for c in all_commands(root) for option in c.options if option.values for name in option.names)
    parts = {
        "@VALUED@": " ".join(dict.fromkeys(valued)),
        "@DATA@": " ".join(spellings_of(root, "--data")),
        "@LOGS@": " ".join(spellings_of(root, "--logs")),
        "@LINES@": "\n".join([*map(_function, all_values(root)), *_lines(root)]),
    }
    script = _SCRIPT
    for mark, text in parts.items():
        script = script.replace(mark, text)
    return script


def _lines(root: Command) -> Iterator[str]:
    for command in all_commands(root):
        path = "".join(f" {word}" for word in command.path[1:])
        for below in command.commands:
            yield f"complete -c babycli -n '__babycli_at 0{path}' -a {below.path[-1]} -d {_quoted(below.help)}"
        for n, values in enumerate(command.arguments):
            more = "+" if command.takes_more and n == len(command.arguments) - 1 else ""
            yield f"complete -c babycli -n '__babycli_at {n}{more}{path}'{_offered(values)}"
        n_words = "0" if command.commands and not command.arguments else "0+"
        for option in command.options:
            yield f"complete -c babycli -n '__babycli_at {n_words}{path}'{_option(option)}"


def _option(option: Option) -> str:
    names = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in option.names)
    values = "" if option.values is None else f" -r{_offered(option.values)}"
    return f"{names}{values} -d {_quoted(option.help)}"


def _offered(values: Values) -> str:
    is_file = Place.FILES in values.places and not values.has_name
    files = " -F" if is_file or values.is_file_otherwise else " -f"
    return f"{files} -a '(__babycli_value_{values.name})'"


def _function(values: Values) -> str:
    parts = [f"printf '%s\\n' {' '.join(map(_quoted, values.words))}"] if values.words else []
    parts += [f"__babycli_{place.value}" for place in values.places if place not in (Place.FILES, Place.FOLDERS)]
    body = "; ".join(parts) or "true"
    body = f"begin; {body}; end | __babycli_list" if values.is_list else body
    body += "; __babycli_named_file" if values.has_name and Place.FILES in values.places else ""
    body += "; __fish_complete_directories (commandline -ct)" if Place.FOLDERS in values.places else ""
    return f"function __babycli_value_{values.name}; {body}; end"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
