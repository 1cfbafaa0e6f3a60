"""The options of lmms-eval's command line that babycli has not: those that change nothing, and those that would.

Owns which is which, and what to type instead. They are those of lmms-eval 0.1 to 0.7; options that mean the same in
both, as --model_args and --batch_size, are babycli's own. What is said is in commands/foreign_options.py.
"""

from __future__ import annotations

from babycli.commands.foreign_options import ForeignOption, Given
from babycli.wording import whole_number

PROGRAM = "lmms-eval"
_GREEDY = {  # settings of generation that leave it greedy
    "temperature": ("0", "0.0", "none"),
    "do_sample": ("false", "none"),
    "num_beams": ("1", "none"),
    "top_p": None,  # without sampling, any value
    "top_k": None,
    "until": (),
}
_OWN_PROMPT = (
    "your own words are  --prompt TEXT;  a template is  --model-args chat_template=FILE  or conv_template=NAME"
)
_ALL_LOGGED = "every answer is logged in any case"
_AFTERWARDS = "babycli report --to wandb:PROJECT  sends the numbers of finished runs"


def _is_greedy(text: str) -> bool:
    """Tells whether ``temperature=0,num_beams=1`` is what babycli does anyway."""
    for part in filter(None, text.split(",")):
        key, _, value = (word.strip().lower() for word in part.partition("="))
        allowed = _GREEDY.get(key, ())
        if allowed is not None and value not in allowed:
            return False
    return True


def _is_none(value: str) -> bool:
    return value.strip().lower() in ("", "0", "none")


def _is_one(value: str) -> bool:
    return value.strip() == "1"


def _is_no_count(value: str, given: Given) -> bool:
    return not whole_number(value)


def _is_of_no_sample(value: str, given: Given) -> bool:
    return "--sample" not in given


def _is_yaml(value: str, given: Given) -> bool:
    return value.endswith((".yaml", ".yml"))


def _is_listing(value: str, given: Given) -> bool:
    return value in ("list", "list_groups", "list_tags", "list_subtasks", "list_with_num")


def _flag(name: str, why: str, short: str = "") -> ForeignOption:
    return ForeignOption(name, why, short=short, takes_value=False)


OPTIONS = (
    _flag("--log-samples", _ALL_LOGGED),
    ForeignOption("--log-samples-suffix", "logs are named by model and time"),
    ForeignOption("--verbosity", "there are no levels"),
    _flag("--show-config", "run.json says how it was run"),
    _flag("--show-task-to-terminal", "babycli models show  shows the prompts"),
    _flag("--write-out", "babycli models show  shows the prompts", "-w"),
    _flag("--check-integrity", "babycli data verify  checks the data"),
    _flag("--predict-only", "scores are computed as well", "-x"),
    _flag("--process-with-media", "pictures are read in any case"),
    _flag("--force-simple", "there is one way to ask a model"),
    ForeignOption("--process-docs-parallel", "scoring takes no time"),
    ForeignOption("--agentic-trace-mode", _ALL_LOGGED),
    ForeignOption("--timezone", "times are in UTC"),
    ForeignOption("--max-batch-size", "--batch-size auto  takes what there is room for"),
    ForeignOption("--launcher-args", "no model judges another"),
    ForeignOption("--use-cache", "an unfinished run goes on by itself, and  --cache DIR  shares scores", short="-c"),
    ForeignOption("--cache-requests", "nothing is to be cached"),
    ForeignOption("--hf-hub-log-args", "babycli report --format hf  writes results for the hub"),
    ForeignOption("--baseline", "babycli report --compare A B  compares finished runs"),
    ForeignOption("--wandb-args", _AFTERWARDS),
    _flag("--wandb-log-samples", _AFTERWARDS),
    ForeignOption("--swanlab-args", "a report is written as json or csv"),
    _flag("--swanlab-log-samples", "a report is written as json or csv"),
    ForeignOption(
        "--num-fewshot",
        "no task has examples",
        "no task shows examples before it asks",
        "leave it out: all is asked with no examples",
        is_idle=_is_none,
    ),
    ForeignOption(
        "--gen-kwargs",
        "all is written greedily",
        "babycli writes greedily, and has no other way",
        "leave it out; the length of texts is  --max-new-tokens N",
        is_idle=_is_greedy,
    ),
    ForeignOption(
        "--offset",
        "trials begin at the first",
        "trials begin at the first one",
        "leave it out;  --sample N  takes trials from all parts of a task",
        is_idle=_is_none,
    ),
    ForeignOption(
        "--repeats",
        "each question is asked once",
        "greedy answers do not change when they are asked for again",
        "leave it out; the first N trials are  --limit N",
        short="-n",
        is_idle=_is_one,
    ),
    ForeignOption(
        "--num-samples",
        "each question is asked once",
        "greedy answers do not change when they are asked for again",
        "leave it out; N trials of each task are  --sample N",
        is_idle=_is_one,
    ),
    ForeignOption(
        "--apply-chat-template",
        refusal="whether there is a template is told by the model's family",
        mend=f"leave it out; {_OWN_PROMPT}",
        takes_value=False,
    ),
    ForeignOption(
        "--fewshot-as-multiturn",
        refusal="no task shows examples before it asks",
        mend="leave it out",
        takes_value=False,
    ),
    ForeignOption(
        "--system-instruction",
        refusal="what stands before a question is told by the model's family",
        mend=f"leave it out; {_OWN_PROMPT}",
    ),
    ForeignOption(
        "--reasoning-tags",
        refusal="a text is scored as it was written",
        mend="leave it out",
    ),
    ForeignOption(
        "--include-path",
        refusal="tasks are not written in YAML here",
        mend="a task of your own is  --tasks path/to/file.py:TASK",
    ),
    ForeignOption(
        "--max-tokens",
        refusal="no run ends before its last trial",
        mend="the length of each text is  --max-new-tokens N, the number of trials  --limit N",
    ),
    ForeignOption(
        "--power-analysis",
        refusal="it would evaluate nothing",
        mend="babycli report --compare A B  tells the smallest difference that can be seen",
        takes_value=False,
    ),
    ForeignOption(
        "--tui", refusal="there are no menus", mend="babycli eval --help  lists the options", takes_value=False
    ),
    ForeignOption(
        "--seed",
        refusal="--seed is of --sample, which was not given; greedy answers need none",
        mend="leave it out, or write  --sample N --seed S",
        is_meant=_is_of_no_sample,
    ),
    ForeignOption(
        "--limit",
        refusal="it is a whole number of trials",
        mend="leave it out for all, or write  --limit N, or  --sample N  for some of all groups",
        is_meant=_is_no_count,
    ),
    ForeignOption(
        "--batch-size",
        refusal="the batch is as large as there is room for, from the first one on",
        mend="write  --batch-size auto  or a number",
        is_meant=lambda value, given: value.startswith("auto:"),
    ),
    ForeignOption(
        "--config",
        refusal="a file of runs is written in TOML, with other names",
        mend="babycli eval ... --dry-run --save FILE  writes one",
        is_meant=_is_yaml,
    ),
    ForeignOption(
        "--tasks",
        refusal="a list is a command of its own",
        mend="babycli tasks",
        is_meant=_is_listing,
    ),
)
