"""How long an input a LLaVA-style model takes, and what the original makes of a longer one.

Owns the limits of a checkpoint and the place where the original cuts an input off. Never tokenises.

The original reads only the first ``tokenizer_model_max_length`` positions of an input, pictures included, and says
nothing: the question at the end is lost, and the model goes on from the middle of a picture. With fair scoring such an
input gets no answer; with reference scoring it is cut as in the original.

Source: prepare_inputs_labels_for_multimodal in llava/model/llava_arch.py of BabyLLaVA-V2 @ 5634e58.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from babycli.models.parts.llava_network import LlavaNetwork
from babycli.models.parts.tokenizer import IMAGE_ID
from babycli.wording import Scoring


@dataclass(frozen=True, slots=True)
class Lengths:
    """The limits of a model, in positions; None where there is none."""

    per_image: int
    most: int | None  # that the language model was made for
    longest_input: float | None  # that the original reads
    has_places: bool  # the language model has a table of its places, and can have no more than ``most``
    scoring: Scoring

    @classmethod
    def of(cls, network: LlavaNetwork, scoring: Scoring) -> Lengths:
        return cls(network.n_positions, network.max_length, network.longest_input, network.has_places, scoring)

    def n_positions(self, ids: Sequence[int]) -> int:
        return len(ids) + ids.count(IMAGE_ID) * (self.per_image - 1)

    def n_cut(self, ids: Sequence[int]) -> int:
        """Counts the positions at the end of an input that are not read; with fair scoring there are none."""
        if self.scoring == Scoring.FAIR or self.longest_input is None:
            return 0
        return max(0, self.n_positions(ids) - int(self.longest_input))

    def why_too_long(self, ids: Sequence[int], n_answer: int, n_new: int) -> str:
        """Tells why a sequence is too long; "" if it is not.

        ``n_answer`` ids at its end are scored, or ``n_new`` are to be written behind it. With reference scoring a Llama
        writes on beyond its length, as in the original; a GPT-2 has no places there.
        """
        n_whole, n_cut = self.n_positions(ids), self.n_cut(ids)
        n_places = n_whole - n_cut + n_new
        is_bound = self.has_places or self.scoring == Scoring.FAIR
        if is_bound and self.most is not None and n_places > self.most:
            return f"a sequence of {n_places} positions does not fit the model's {self.most}"
        if self.scoring == Scoring.FAIR and self.longest_input is not None and n_whole > self.longest_input:
            return (
                f"an input of {n_whole} positions is cut off by the original after {self.longest_input} "
                "(tokenizer_model_max_length)"
            )
        if 0 < n_answer <= n_cut:
            return f"the original reads {self.longest_input} of {n_whole} positions, and nothing of the answer"
        return ""
