"""Conversation templates, which turn a conversation and an answer into the one text that a model reads.

Owns the wording around messages. Never tokenises. The templates are those that BabyLLaVA checkpoints were
trained with (llava/conversation.py of BabyLLaVA @ b98f28f and BabyLLaVA-V2 @ 5634e58).
"""

from __future__ import annotations

from dataclasses import dataclass

from babycli.domain import IMAGE_PLACE, NO_PICTURE, Context, ImageRef, Turn, as_prompt

PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"  # marks a picture in a text; it is removed from all words


@dataclass(frozen=True, slots=True)
class Template:
    """A template: ``[system][question][separator][answer][terminator]``, with role names in front if it has any."""

    system: str = ""
    user: str = ""
    assistant: str = ""
    separator: str = ""
    terminator: str = ""

    def render(self, context: Context, answer: str | None = None) -> str:
        """Renders the context, with PLACE for each picture; with an ``answer``, that and the terminator follow.

        With role names, two turns of the user read:

            " USER: q1 ASSISTANT: a1<eos>USER: q2 ASSISTANT:"

        Of a turn without words, only the role name is left, without its separator or terminator, as in the original:

            " USER: q1 ASSISTANT:USER: q2 ASSISTANT:"
        """
        text = self.system + (self.separator if self.user else "")
        for turn in context.turns:
            words = words_of(turn)
            if turn.role == "model":
                text += self._reply(words) if words else ""
            elif self.user:
                text += (f"{self.user}: {words}{self.separator}" if words else f"{self.user}:") + f"{self.assistant}:"
            elif words:
                text += words + self.separator
        return text if answer is None else text + self._reply(answer)

    def _reply(self, words: str) -> str:
        return (" " if self.user else "") + words.replace(PLACE, "") + self.terminator


_VICUNA = Template(
    system="A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    user="USER",
    assistant="ASSISTANT",
    separator=" ",
    terminator="</s>",
)

TEMPLATES = {
    "plain": Template(),
    "baby_plain": Template(separator=" ", terminator="<eos>"),
    "baby_v1": Template(user="USER", assistant="ASSISTANT", separator=" ", terminator="<eos>"),
    "v1": _VICUNA,
    "vicuna_v1": _VICUNA,
}


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


def filled(prompt: str, text: str) -> str:
    """Fills a prompt for a dual encoder: the text goes in place of ``{}``, else behind the prompt, if there is one.

    "a photo of a {}", "ball"  ->  "a photo of a ball"
    """
    if "{}" in prompt:
        return prompt.replace("{}", text)
    return f"{prompt} {text}" if prompt else text
