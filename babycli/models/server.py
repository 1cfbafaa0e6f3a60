"""A model that a server runs, asked over OpenAI's API: ``--model openai:http://localhost:8000/v1#NAME``.

Owns which server and model it is, what of its abilities is certain, and what an answer means. Never computes anything
and never lets a picture leave this machine unless the user has named the host: see parts/server_address.py.

    writes    POST /chat/completions, greedy, a request at a time and ``concurrency`` at once
    scores    the same with prompt_logprobs, as vLLM has it: /completions takes no picture and knows no chat template
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from PIL.Image import Image

from babycli.domain import Answer, CannotAnswer, Context, Loglikelihood, Text
from babycli.errors import ModelError
from babycli.models.base import (
    Abilities,
    Family,
    Features,
    Model,
    ModelInfo,
    ModelSpec,
    Outline,
    Part,
    Question,
)
from babycli.models.parts.pictures import check_thinness
from babycli.models.parts.prompts import all_words
from babycli.models.parts.server_address import FORM, NAME, PREFIX, Address, check_may_send, read_address
from babycli.models.parts.server_calls import BusyError, Calls, MalformedError, RefusedError
from babycli.models.parts.server_chat import Message, Worded, as_data_url, messages_of, worded
from babycli.models.parts.server_flow import answers_of
from babycli.models.parts.server_replies import Reply, ScoredToken, read_models, read_reply, read_scored, score_of
from babycli.models.parts.server_settings import KEY_ENV, read_settings
from babycli.models.usage import Usage
from babycli.wording import Scoring, listed, printable, shortened

ABILITIES = Abilities(
    scores=("loglikelihood",),
    writes=True,
    max_images=None,
    max_turns=None,
    blind="no picture in the messages",
    answers_alone=True,
)
Read = TypeVar("Read")

TEMPLATE = "server"
_SEED = 0
_PROBE_PATIENCE_S = 10.0
_KEPT_PROMPTS = 1024
_SHOWN = 200  # characters of a name, in a note
_SAYS = ("id", "root", "parent", "owned_by", "max_model_len", "meta")  # not "created": vLLM writes the present time
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum.{0,20}(length|context)|too (long|large)|too many tokens", re.I
)
_OF_TOKENS = re.compile(r"context|token", re.I)  # and not of bytes, as a gateway's limit is
_NO_SCORES = (
    "answers can be written and not scored: what compares scores is refused, and closed sets of answers are asked with "
    " --answers written"
)


@dataclass(frozen=True, slots=True)
class Met:
    """A model of a server, as it was met before the run."""

    name: str  # as it is asked for
    said: str  # as it calls itself in its answers: with a date or a revision perhaps
    facts: Mapping[str, Any]  # what the server tells of it
    version: str  # of the server; "" where it does not tell
    max_tokens: str  # the word for how long a text may get
    why_no_scores: str  # "" where it scores

    @property
    def abilities(self) -> Abilities:
        return replace(ABILITIES, scores=() if self.why_no_scores else ABILITIES.scores)

    @property
    def notes(self) -> tuple[str, ...]:
        facts = [f"it calls itself {shortened(printable(self.said), _SHOWN)}"]
        told = ((key, self.facts.get(key)) for key in ("root", "owned_by"))
        facts += [f"{key} {shortened(printable(str(value)), _SHOWN)}" for key, value in told if value]
        facts += [f"version {printable(self.version)}"] if self.version else []
        about = ("asked of a server: scores are not reproducible to the digit", ", ".join(facts))
        if not self.why_no_scores:
            return about
        return (*about, f"the server gives no log-probabilities of a prompt ({self.why_no_scores}): {_NO_SCORES}")


class ServerModel(Model):
    """See babycli.models.base; features of a picture are its data URL. Its methods are safe to call from any thread."""

    def __init__(self, server: Server, met: Met, info: ModelInfo) -> None:
        self._server, self._met = server, met
        self._prompts: dict[Any, Future[tuple[ScoredToken, ...]]] = {}  # their tokens, by pictures and words
        self._lock = threading.Lock()
        self.info = info

    def render(self, context: Context) -> str:
        return all_words(context)

    def preprocess(self, image: Image) -> Features:
        check_thinness(image)
        return as_data_url(image)

    def encode(self, pixels: Sequence[Features]) -> list[Features]:
        return list(pixels)

    def tokenize(self, context: Context, answer: str) -> Worded:
        return worded(context, answer)

    def read(self, context: Context, max_new_tokens: int) -> Worded:
        return worded(context, "")

    @property
    def usage(self) -> Usage:
        return self._server.usage

    def answer_each(self, questions: Iterable[Question]) -> Generator[tuple[int, Answer], None, None]:
        calls = self._server.calls
        whole = False
        try:
            yield from answers_of(questions, self._answer, self._server.concurrency, calls.finish)
            whole = True
        finally:
            if not whole:
                calls.close()

    def _answer(self, question: Question) -> Answer:
        assert isinstance(question.tokens, Worded)
        messages = messages_of(question.tokens.wording, question.pictures)
        try:
            if question.max_new_tokens is None:
                return self._score(question, question.tokens, messages)
            return self._write(messages, question.max_new_tokens)
        except RefusedError as error:
            if _is_too_long(error):
                return CannotAnswer(f"the server refuses it as too long: {error.body}")
            raise self._server.refused(error, self._met.name) from error

    def _write(self, messages: Sequence[Message], max_new_tokens: int) -> Text | CannotAnswer:
        reply = self._asked(messages, {self._met.max_tokens: max_new_tokens})
        if reply.why_ended == "content_filter":
            return CannotAnswer("the server's filter keeps the answer back")
        if reply.refusal:
            return CannotAnswer(f"the model refuses: {shortened(printable(reply.refusal), _SHOWN)}")
        if reply.text is None or reply.has_only_thoughts:
            raise self._server.calls.failed(
                f"it gave no text (finish_reason {reply.why_ended!r})",
                "a model that thinks first may have used up its tokens: switch its thinking off in the server, or give "
                "it more with  --max-new-tokens",
            )
        return Text(reply.text.strip(), (), True)

    def _score(self, question: Question, tokens: Worded, messages: list[Message]) -> Loglikelihood | CannotAnswer:
        prompt = self._prompt((tuple(f.digest for f in question.pictures), tokens.wording), messages)
        return score_of(prompt, self._scored(answered(messages, tokens.answer)), tokens.answer)

    def _prompt(self, key: Any, messages: list[Message]) -> tuple[ScoredToken, ...]:
        """Gives the tokens of a prompt without an answer; they are asked for once for all answers behind it."""
        with self._lock:
            known = self._prompts.get(key)
            if known is None:
                asked = self._prompts[key] = Future()
                if len(self._prompts) > _KEPT_PROMPTS:
                    del self._prompts[next(iter(self._prompts))]
        if known is not None:
            return known.result()
        try:
            tokens = self._scored({"messages": messages})
        except BaseException as error:
            asked.set_exception(error)
            raise
        asked.set_result(tokens)
        return tokens

    def _scored(self, chat: Mapping[str, Any]) -> tuple[ScoredToken, ...]:
        return self._server.scored(self._met.name, self._met.max_tokens, chat, self._met.said)

    def _asked(self, messages: Sequence[Message], more: Mapping[str, Any]) -> Reply:
        return self._server.chat(self._met.name, {"messages": messages, **more}, self._met.said)


def answered(messages: Sequence[Message], answer: str) -> dict[str, Any]:
    """Makes a request whose prompt ends with an answer of the model, and nothing behind it."""
    whole = [*messages, {"role": "assistant", "content": answer}]
    return {"messages": whole, "continue_final_message": True, "add_generation_prompt": False}


class Server:
    """A server, with the settings of --model-args, and what it was asked for."""

    def __init__(self, spec: ModelSpec) -> None:
        self.address = read_address(spec.source)
        self._settings = read_settings(spec.args)
        self.concurrency = self._settings.concurrency
        self.calls = Calls(self.address, self._settings.key, self._settings.limits)
        self._n_requests = self._prompt_tokens = self._completion_tokens = 0
        self._lock = threading.Lock()

    @property
    def usage(self) -> Usage:
        n_in, n_out = self._prompt_tokens, self._completion_tokens
        prices = self._settings.prices
        cost = None if prices is None else (n_in * prices.read + n_out * prices.written) / 1e6
        return Usage(self._n_requests, self.calls.n_again, n_in, n_out, cost)

    def chat(self, name: str, chat: Mapping[str, Any], said: str = "", patience_s: float | None = None) -> Reply:
        """Asks the chat API, greedily. ``said`` is how the model must call itself. Raises RefusedError, ModelError."""
        return self._chat(name, chat, said, lambda reply: reply, patience_s)

    def scored(
        self, name: str, max_tokens: str, chat: Mapping[str, Any], said: str, patience_s: float | None = None
    ) -> tuple[ScoredToken, ...]:
        """Asks for the log-probabilities of a prompt. Raises RefusedError, ModelError."""
        wanted = {**chat, max_tokens: 1, "prompt_logprobs": 1}
        return self._chat(name, wanted, said, read_scored, patience_s)

    def _chat(
        self, name: str, chat: Mapping[str, Any], said: str, read: Callable[[Reply], Read], patience_s: float | None
    ) -> Read:
        def read_whole(document: Any) -> tuple[Reply, Read]:
            reply = read_reply(document)
            return reply, read(reply)

        body = {"model": name, **chat, "temperature": 0, "seed": _SEED}
        reply, value = self.calls.post("/chat/completions", body, read_whole, patience_s)
        with self._lock:
            self._n_requests += 1
            self._prompt_tokens += reply.prompt_tokens
            self._completion_tokens += reply.completion_tokens
        if said and reply.model != said:
            raise self._other_model(name, reply.model)
        return value

    def _other_model(self, name: str, said: str) -> ModelError:
        return self.calls.failed(
            f"{name} was asked, and {shortened(printable(said))} answered",
            "name the model as the server calls it, behind the # of --model; scores of two models are never mixed",
        )

    def meet(self) -> Met:
        """Learns what the server says of its model, and what of it can be used. Sends no picture.

        Raises ModelError where it cannot be asked at all.
        """
        self.calls.reach()
        known = self._models()
        name = self._name(known)
        facts = {key: known[name][key] for key in _SAYS if key in known.get(name, {})}
        hello: list[Message] = [{"role": "user", "content": [{"type": "text", "text": "Say yes."}]}]
        try:
            max_tokens, reply = self._hello(name, hello)
        except RefusedError as error:
            raise self.refused(error, name, known) from error
        if not _is_same(name, reply.model):
            raise self._other_model(name, reply.model)
        version = self._version() if facts.get("owned_by") == "vllm" else ""
        why = self._why_no_scores(name, max_tokens, hello, reply.model)
        return Met(name, reply.model, facts, version, max_tokens, why)

    def _hello(self, name: str, hello: list[Message]) -> tuple[str, Reply]:
        """Asks for one token; gives the word for that too, of which newer models of OpenAI have another."""
        try:
            return "max_tokens", self.chat(name, {"messages": hello, "max_tokens": 1})
        except RefusedError as error:
            if "max_completion_tokens" not in error.body:
                raise
        return "max_completion_tokens", self.chat(name, {"messages": hello, "max_completion_tokens": 1})

    def _models(self) -> dict[str, Mapping[str, Any]]:
        try:
            return self.calls.get("/models", read_models)
        except RefusedError as error:
            if error.status in (404, 405, 500, 501):  # it has no list
                return {}
            raise self.refused(error, self.address.model) from error

    def _name(self, known: Mapping[str, Any]) -> str:
        if self.address.model:
            return self.address.model
        if len(known) == 1:
            return next(iter(known))
        names = f"it lists {listed(known)}" if known else "it lists none"
        raise self.calls.failed(
            f"--model names none of its models, and {names}",
            f"name one behind a #, as  {PREFIX}{self.address.url}#NAME",
        )

    def _version(self) -> str:
        try:
            return self.calls.get_of_host("/version", lambda document: str(document["version"])[:80], _PROBE_PATIENCE_S)
        except (RefusedError, ModelError, KeyError, TypeError):  # a gateway before it may have anything there
            return ""

    def _why_no_scores(self, name: str, max_tokens: str, hello: list[Message], said: str) -> str:
        """Tries to score a text; tells why that cannot be done for certain, "" where it can.

        Raises BusyError where that cannot be told: the tasks of a run must not depend on the traffic.
        """
        answer = "yes it is"
        ask_for = functools.partial(self.chat, name, said=said, patience_s=_PROBE_PATIENCE_S)
        wanted = {max_tokens: 1, "prompt_logprobs": 1}
        try:
            replies = [ask_for({**chat, **wanted}) for chat in ({"messages": hello}, answered(hello, answer))]
            prompt, whole = (read_scored(reply) for reply in replies)
        except RefusedError as error:
            return f"status {error.status}: {shortened(error.body, 100)}"
        except MalformedError as error:
            return str(error) if replies[0].prompt is not None else "prompt_logprobs is not in its answer"
        except BusyError:
            raise
        except ModelError as error:
            return error.message
        score = score_of(prompt, whole, answer)
        return score.why if isinstance(score, CannotAnswer) else ""

    def refused(self, error: RefusedError, name: str, known: Mapping[str, Any] | None = None) -> ModelError:
        """Makes the error for a status that no further try will change."""
        why = f"it refuses a request (status {error.status}): {error.body}"
        if error.status in (401, 403):
            given = "is not set" if not self.calls.key else "holds another key perhaps"
            return self.calls.failed(
                why,
                f"put the key of this server into the environment variable {self._settings.key_env}, which {given}; "
                "--model-args key_env=NAME reads another",
            )
        if error.status == 413:
            return self.calls.failed(
                why,
                "let the server, or the gateway before it, take longer requests (nginx: client_max_body_size 200m): "
                "pictures are sent whole, and a conversation with all of its own",
            )
        if error.status == 404:
            known = self._models() if known is None else known
            lists = f"it lists {listed(known)}" if known else "it lists no models"
            return self.calls.failed(
                f"it has no model {name!r} or no chat at this address (status 404): {error.body}",
                f"{lists}; name one behind the # of --model, and give the address with its /v1",
            )
        return self.calls.failed(why, "see what the server says; docs/servers.md tells what it must be able to do")


def _is_too_long(error: RefusedError) -> bool:
    """Tells whether a request is refused because the model cannot read so much."""
    if error.status == 413:
        return _OF_TOKENS.search(error.body) is not None
    return error.status in (400, 422) and _TOO_LONG.search(error.body) is not None


def _is_same(name: str, said: str) -> bool:
    """Tells whether a model that calls itself ``said`` is the one asked for, with a date or a revision perhaps."""
    return said == name or re.fullmatch(re.escape(name) + r"(-\d.*|[@:].+)", said) is not None


def check(spec: ModelSpec) -> None:
    """Checks what can be checked before data are read; see babycli.models.base.Family."""
    check_may_send(Server(spec).address, spec.send_pictures_to)


def load(spec: ModelSpec, place: Path) -> ServerModel:
    """Meets the server; see babycli.models.base.Loader."""
    server = Server(spec)
    check_may_send(server.address, spec.send_pictures_to)
    met = server.meet()
    notes = met.notes
    if spec.scoring == Scoring.REFERENCE:
        notes = (*notes, "scored as with --scoring fair: there is no original to follow")
    info = ModelInfo(
        family=NAME,
        source=spec.source,
        fingerprint=_fingerprint(server.address, met),
        n_parameters=None,
        dtype="",
        device="server",
        template=TEMPLATE,
        abilities=met.abilities,
        notes=notes,
        prompts_like="hf",
    )
    return ServerModel(server, met, info)


def _fingerprint(address: Address, met: Met) -> str:
    """Gives the SHA-256 over all that the server says of itself and its model, and its address."""
    whole = [address.url, met.name, met.said, met.facts, met.version]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def outline(spec: ModelSpec, place: Path) -> Outline:
    """Asks the server what it is, and sends no picture; see babycli.models.base.Outliner."""
    server = Server(spec)
    met = server.meet()
    return Outline(
        family=NAME,
        parts=(Part(met.name, f"at {server.address.url}", None),),
        stored_dtype=None,
        template=TEMPLATE,
        abilities=met.abilities,
        render=all_words,
        prompts_like="hf",
        notes=met.notes,
    )


FAMILY = Family(
    name=NAME,
    summary=f"a model that a server runs, as vLLM, SGLang, llama.cpp and hosted ones do: {FORM}",
    abilities=ABILITIES,
    arguments={
        "concurrency": "requests at once; default 16",
        "timeout": "seconds for one try of a request; default 300",
        "patience": "seconds for all tries of a request; default 600",
        "key_env": f"the environment variable that holds the key; default {KEY_ENV}",
        "price_in": "price of a million tokens read, for the cost in the log",
        "price_out": "price of a million tokens written",
    },
    without_effect=("concurrency", "timeout", "patience", "key_env", "price_in", "price_out"),
    recognises=lambda folder, config: False,
    load=load,
    outline=outline,
    claims=lambda name: name.startswith(PREFIX),
    has_checkpoints=False,
    computes_here=False,
    has_own_precision=True,
    check=check,
)
