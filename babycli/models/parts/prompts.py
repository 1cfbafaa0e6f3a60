"""Conversation templates, which turn a conversation and an answer into the one text that a model reads.

Owns the wording around messages. Never tokenises. The templates are those that BabyLLaVA checkpoints were
trained with (llava/conversation.py of BabyLLaVA @ b98f28f and BabyLLaVA-V2 @ 5634e58).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from babycli.domain import IMAGE_PLACE, NO_PICTURE, Context, ImageRef, Turn, as_prompt

_READ_BY_THE_FIRST = 2048  # positions; all published checkpoints of the first version
PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"  # marks a picture in a text; it is removed from all words


@dataclass(frozen=True, slots=True)
class Template:
    """A template: ``[system][question][separator][answer][terminator]``, with role names in front if it has any."""

    system: str = ""
    user: str = ""
    assistant: str = ""
    separator: str = ""
    terminator: str = ""
    keeps_roles: bool = False  # words that bring "USER:" and all that belongs to it are read as they are

    def render(self, context: Context, answer: str | None = None) -> str:
        """Renders the context, with PLACE for each picture; with an ``answer``, that and the terminator follow.

        With role names, two turns of the user read:

            " USER: q1 ASSISTANT: a1<eos>USER: q2 ASSISTANT:"

        Of a turn without words, only the role name is left, without its separator or terminator, as in the original:

            " USER: q1 ASSISTANT:USER: q2 ASSISTANT:"

        It counts turns, and not whose they are: separator and terminator take turns. Behind two turns of the user in a
        row, the second has the terminator, and what follows has the separator:

            " USER: q1 USER: q2<eos>ASSISTANT:"
        """
        if self.keeps_roles and any(f"{self.user}:" in words_of(turn) for turn in context.turns if turn.role == "user"):
            return _PLAIN.render(context, answer)
        said = [(turn.role, words_of(turn)) for turn in context.turns]
        said.append(("model", "" if answer is None else answer.replace(PLACE, "")))
        text = self.system + (self.separator if self.user else "")
        for i, (role, words) in enumerate(said):
            name = f"{self.user if role == 'user' else self.assistant}:" if self.user else ""
            is_said = bool(words) or (answer is not None and i == len(context.turns))
            space = " " if name else ""
            text += f"{name}{space}{words}{self.terminator if i % 2 else self.separator}" if is_said else name
        return text


_PLAIN = Template()
_VICUNA = Template(
    system="A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    user="USER",
    assistant="ASSISTANT",
    separator=" ",
    terminator="</s>",
)

SEVERAL_TURNS = "baby_v1"  # that of BabyLLaVA-V2
LLAVA = "llava"  # BabyVLM's prompts for LLaVA-1.5 bring the roles; what tasks say in their own words does not

TEMPLATES = {
    "plain": _PLAIN,
    "baby_plain": Template(separator=" ", terminator="<eos>"),
    "baby_v1": Template(user="USER", assistant="ASSISTANT", separator=" ", terminator="<eos>"),
    "v1": _VICUNA,
    "vicuna_v1": _VICUNA,
    LLAVA: replace(_VICUNA, keeps_roles=True),
}


def default_template(end_of_text: str | None, n_read: float) -> str:
    """Gives the name of the template for a checkpoint whose user names none.

    ``end_of_text`` is the token with which its tokenizer ends a text, ``n_read`` the number of positions that it reads
    of an input. BabyLLaVA's first version read 2,048, a single picture among them, and was evaluated with "plain". The
    second reads 8,192, several turns with pictures, and the terminator of its template is the end of a text.
    """
    ends = TEMPLATES[SEVERAL_TURNS].terminator
    return SEVERAL_TURNS if end_of_text == ends and n_read > _READ_BY_THE_FIRST else "plain"


def words_of(turn: Turn) -> str:
    """Gives the words of a turn with PLACE for each picture. Pictures before all words get a line of their own."""
    parts = turn.parts
    n_leading = next((i for i, part in enumerate(parts) if not isinstance(part, ImageRef)), len(parts))
    rest = "".join(PLACE if isinstance(part, ImageRef) else part.replace(PLACE, "") for part in parts[n_leading:])
    return f"{' '.join([PLACE] * n_leading)}\n{rest}" if n_leading else rest


def pieces_of(text: str) -> list[str]:
    """Splits a rendered text where its pictures are."""
    return text.split(PLACE)


def shown(text: str, context: Context) -> str:
    """Writes a rendered text for people and logs: ``<image>`` for each picture, nothing for one that is not shown."""
    images = [part for turn in context.turns for part in turn.parts if isinstance(part, ImageRef)]
    first, *rest = pieces_of(text)
    marks = ("" if image == NO_PICTURE else IMAGE_PLACE for image in images)
    return first + "".join(mark + piece for mark, piece in zip(marks, rest, strict=True))


def prompt_text(context: Context) -> str:
    """Gives the user's last turn in the form of --prompt, for models that get pictures and text apart."""
    return as_prompt(context.turns[-1].parts)


def all_words(context: Context) -> str:
    """Gives all words of a context, a line for each turn, for models that have no template."""
    return "\n".join(prompt_text(Context((turn,))) for turn in context.turns)


def filled(prompt: str, text: str) -> str:
    """Fills a prompt for a dual encoder: the text goes in place of ``{}``, else behind the prompt, if there is one.

    "a photo of a {}", "ball"  ->  "a photo of a ball"
    """
    if "{}" in prompt:
        return prompt.replace("{}", text)
    return f"{prompt} {text}" if prompt else text
